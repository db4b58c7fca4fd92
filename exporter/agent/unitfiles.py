"""What is written for supervisors: systemd's unit and sleep hook, and a loop in sh where there is no systemd."""

from __future__ import annotations

from collections.abc import Iterable

UNIT = """\
# The agent on a node. Written by `aurora-agent.pyz install`, which the registry's /join runs.
[Unit]
Description=Aurora node agent
Wants=network-online.target
After=network-online.target
# A laptop may be without its network for long: the agent is started again forever.
StartLimitIntervalSec=0

[Service]
ExecStart=@BIN@
EnvironmentFile=@SETTINGS@
Restart=always
RestartSec=10
# Wrong settings, a node that somebody deregistered: no restart mends these.
RestartPreventExitStatus=2 4 5
TimeoutStopSec=15

DynamicUser=yes
StateDirectory=aurora-agent
StateDirectoryMode=0750
WorkingDirectory=/var/lib/aurora-agent
UMask=0077

# No PrivateDevices and no DevicePolicy: the agent asks the GPUs' driver through /dev/nvidia*, which everybody may.
# No MemoryDenyWriteExecute either: the driver's own library may need such memory.
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
# Netlink is how a process learns its own addresses.
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""

CREDENTIALS = """\
# The agent is a user of its own, which may not read these files.
[Service]
"""

USER_UNIT = """\
# The agent on a node, as a service of one user. Written by `aurora-agent.pyz install`.
[Unit]
Description=Aurora node agent
StartLimitIntervalSec=0

[Service]
ExecStart=@BIN@
Restart=always
RestartSec=10
RestartPreventExitStatus=2 4 5
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""

SLEEP_HOOK = """\
#!/bin/sh
# Report to the registry that this node goes to sleep: systemd calls this with pre or post before and after suspend and
# hibernate. The next heartbeat ends the sleep by itself.
set -eu
[ "${1:-}" = pre ] || exit 0
# Sleep is not put off for long, and never refused, because the registry does not answer.
timeout 5 @BIN@ --send-status sleeping ||
    echo "aurora-agent-sleep: the registry was not reached; this node will look offline" >&2
exit 0
"""

WRAPPER = """\
#!/bin/sh
# The agent with this machine's settings: @SETTINGS@
export AURORA_SETTINGS="${AURORA_SETTINGS:-@SETTINGS@}"
# -S: nothing that somebody installed into this Python is loaded, and costs memory, but what the agent asks for.
exec @PYTHON@ -S @HOME@/aurora-agent.pyz "$@"
"""

LOOP = """\
#!/bin/sh
# Keeps the agent running where there is no systemd: as an image's entry point, or from crontab.
echo $$ >@HOME@/supervisor.pid
trap 'kill "$child" 2>/dev/null; wait "$child"; exit 0' TERM INT HUP
while :; do
    @BIN@ &
    child=$!
    wait "$child"
    # Asked to stop; wrong settings; another machine's name; deregistered: no restart mends these.
    case $? in 0 | 2 | 4 | 5) exit ;; esac
    @PYTHON@ -c 'import time; time.sleep(10)' &
    child=$!
    wait "$child"
done
"""


def credentials(paths: Iterable[str]) -> str:
    """What hands files on, each under its own name, to an agent that may not read them."""
    return CREDENTIALS + "".join(f"LoadCredential={path.rpartition('/')[2]}:{path}\n" for path in paths)


def filled(text: str, **values: str) -> str:
    """The text with its places filled in."""
    for name, value in values.items():
        text = text.replace(f"@{name.upper()}@", value)
    return text
