"""`aurora-cli alerting init`: its arguments."""

from __future__ import annotations

import argparse

from exporter.programs.cli.commands.command import Command, add_output

CHATS = ("ntfy", "slack", "discord", "webhook")
"""Receivers that are a URL, which is a secret: with it, anybody can write there."""

EPILOG = """\
examples:
  aurora-cli alerting init --ntfy https://ntfy.sh/my-secret-topic
  aurora-cli alerting init --slack-file slack.url
  aurora-cli alerting init --telegram-file bot.token --telegram-chat 4711
  aurora-cli alerting init --email me@example.org --smtp mail.example.org:587 \\
      --smtp-user me --smtp-password-file smtp.password
  aurora-cli alerting init --webhook http://127.0.0.1:8080/ \\
      --watchdog https://hc-ping.com/your-uuid

It writes alertmanager.yml, prometheus.yml, templates and rules into one
directory; `make alerting` starts both servers with them, and
`aurora-cli doctor --send` lets a real message arrive.

Anybody with the URL of a chat can write to it, and a command line can be
read by others on this machine: with --slack-file and the like it stands on
none. The files that are written can be read by their owner alone.
"""


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", metavar="init", choices=["init"], help="write a configuration to start from")
    receivers = parser.add_argument_group("receivers", "Where messages go: one or more.")
    for name in CHATS:
        one = receivers.add_mutually_exclusive_group()
        one.add_argument(f"--{name}", metavar="URL", help=_HELP[name])
        one.add_argument(f"--{name}-file", metavar="FILE", help="a file that holds it")
    telegram = receivers.add_mutually_exclusive_group()
    telegram.add_argument("--telegram", nargs=2, metavar=("TOKEN", "CHAT"), help="a bot's token, and a chat's number")
    telegram.add_argument("--telegram-file", metavar="FILE", help="a file that holds the token")
    receivers.add_argument("--telegram-chat", metavar="CHAT", help="the chat's number, with --telegram-file")
    receivers.add_argument("--email", metavar="ADDRESS", help="the address to write to")
    receivers.add_argument("--smtp", metavar="HOST:PORT", help="the mail server")
    receivers.add_argument("--smtp-from", metavar="ADDRESS", help="the sender (default: the address written to)")
    receivers.add_argument("--smtp-user", metavar="NAME", help="the name to log in with")
    receivers.add_argument("--smtp-password-file", metavar="FILE", help="a file that holds the password")
    watchdog = parser.add_mutually_exclusive_group()
    watchdog.add_argument("--watchdog", metavar="URL", help="who raises the alarm when all of this is down")
    watchdog.add_argument("--watchdog-file", metavar="FILE", help="a file that holds it")
    parser.add_argument(
        "--alertmanager",
        metavar="HOST:PORT",
        default="127.0.0.1:9093",
        help="where Prometheus finds it (default: 127.0.0.1:9093)",
    )
    add_output(parser, "alerting")


_HELP = {
    "ntfy": "a topic, such as https://ntfy.sh/my-secret-topic",
    "slack": "an incoming webhook",
    "discord": "a channel's webhook",
    "webhook": "gets Alertmanager's own JSON",
}
ALERTING = Command("alerting", "set up messages: a configuration in one line", EPILOG, "alerting.init:init", _add)
