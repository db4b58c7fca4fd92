"""Where messages go: from options to an Alertmanager's receivers, as text."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from exporter.programs.cli.commands.alerting import CHATS
from exporter.programs.cli.failures import Failure

MAX_SECRET_BYTES = 4096
NTFY_TITLE = (
    '{{if eq .status "resolved"}}RESOLVED{{else}}FIRING{{end}}: '
    "{{if .commonAnnotations.summary}}{{.commonAnnotations.summary}}{{else}}{{len .alerts}} alerts of the mesh{{end}}"
)
NTFY_TEXT = (
    "{{range .alerts}}{{.annotations.description}}\nSince {{.startsAt}}"
    '{{if eq .status "resolved"}}, ended {{.endsAt}}{{end}}\n{{.annotations.runbook_url}}\n{{end}}'
)
TITLE, TEXT = '{{ template "aurora.title" . }}', '{{ template "aurora.text" . }}'
_CHAT_NUMBER = re.compile(r"-?\d{1,18}")
_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):\d{1,5}")
_ADDRESS = re.compile(r"[^@\s,<>\"]+@[^@\s,<>\"]+")


@dataclass(frozen=True, slots=True)
class Setup:
    """`receivers` are those of the receiver that pages, by the key of their kind; `mail` is for `global`."""

    receivers: Mapping[str, list[dict[str, Any]]]
    mail: Mapping[str, Any]
    watchdog: str = ""


def setup_of(arguments: Namespace) -> Setup:
    """What the options ask for; Failure names the option that is wrong, and never repeats a secret."""
    receivers: dict[str, list[dict[str, Any]]] = {}
    for name in CHATS:
        if url := _url(arguments, name):
            key, config = _chat(name, url)
            receivers.setdefault(key, []).append({"send_resolved": True, **config})
    if telegram := _telegram(arguments):
        receivers["telegram_configs"] = [{"send_resolved": True, **telegram}]
    mail: dict[str, Any] = {}
    if arguments.email:
        mail = _mail(arguments)
        headers = {"Subject": TITLE}
        receivers["email_configs"] = [
            {"send_resolved": True, "to": arguments.email, "headers": headers, "text": TEXT, "html": ""}
        ]
    if not receivers:
        options = ", ".join(f"--{name}" for name in (*CHATS, "telegram", "email"))
        raise Failure(f"where should messages go? Give one of {options}", exit_status=2)
    return Setup(receivers, mail, _url(arguments, "watchdog"))


def flow(value: Any) -> str:
    """A value in YAML's flow form, on one line; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)


def _chat(name: str, url: str) -> tuple[str, dict[str, Any]]:
    if name == "slack":
        return "slack_configs", {"api_url": url, "title": TITLE, "text": TEXT}
    if name == "discord":
        return "discord_configs", {"webhook_url": url, "title": TITLE, "message": TEXT}
    if name == "ntfy":
        # ntfy makes the message itself, from Alertmanager's JSON by these templates.
        query = urlencode({"tpl": "yes", "t": NTFY_TITLE, "m": NTFY_TEXT})
        return "webhook_configs", {"url": f"{url}{'&' if '?' in url else '?'}{query}"}
    return "webhook_configs", {"url": url}


def _url(arguments: Namespace, name: str) -> str:
    """The URL of an option or of the file that it names; empty where neither is given."""
    file = getattr(arguments, f"{name}_file")
    url: str = read_secret(file, f"--{name}-file") if file else getattr(arguments, name) or ""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or not url.isascii() or not url.isprintable() or " " in url or parts.fragment:
        raise Failure(f"--{name}: expected a URL that begins with http:// or https://", exit_status=2)
    return url


def _telegram(arguments: Namespace) -> dict[str, Any]:
    token, chat = arguments.telegram or ("", arguments.telegram_chat)
    if arguments.telegram_file:
        token = read_secret(arguments.telegram_file, "--telegram-file")
    if not token and not chat:
        return {}
    if not token:
        raise Failure("--telegram-chat: expected the bot's token beside it: --telegram-file FILE", exit_status=2)
    if not chat or not _CHAT_NUMBER.fullmatch(chat):
        raise Failure("--telegram-chat: expected the number of a chat, such as 4711 or -1004711", exit_status=2)
    # Without a parse mode a message is plain text, whatever stands in it.
    return {"bot_token": token, "chat_id": int(chat), "parse_mode": "", "message": f"{TITLE}\n{TEXT}"}


def _mail(arguments: Namespace) -> dict[str, Any]:
    for option in ("email", "smtp_from"):
        address = getattr(arguments, option)
        if address and not _ADDRESS.fullmatch(address):
            raise Failure(f"--{option.replace('_', '-')}: expected an address such as me@example.org", exit_status=2)
    if not arguments.smtp or not _HOST_PORT.fullmatch(arguments.smtp):
        raise Failure("--smtp: expected the mail server as host:port, such as mail.example.org:587", exit_status=2)
    mail: dict[str, Any] = {"smtp_smarthost": arguments.smtp, "smtp_from": arguments.smtp_from or arguments.email}
    if arguments.smtp_user:
        mail["smtp_auth_username"] = arguments.smtp_user
    if arguments.smtp_password_file:
        mail["smtp_auth_password"] = read_secret(arguments.smtp_password_file, "--smtp-password-file")
    if arguments.smtp.startswith(("127.", "localhost:", "[::1]:")):
        mail["smtp_require_tls"] = False
    return mail


def read_secret(path: str, option: str) -> str:
    """The one line that a file holds."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise Failure(f"{option}: cannot read {path}: {error.strerror}") from None
    text = content.decode("latin-1").strip()
    if not text or len(content) > MAX_SECRET_BYTES or not text.isascii() or not text.isprintable():
        raise Failure(f"{option}: expected one line of text in {path}")
    return text
