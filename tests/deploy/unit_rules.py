"""What must hold of systemd's units, as a list of faults."""

from __future__ import annotations

from pathlib import Path

from exporter.agent.exits import Exit

SYSTEMD = Path(__file__).resolve().parents[2] / "deploy" / "systemd"
_KNOWN = {
    "Unit": {"Description", "Wants", "After", "StartLimitIntervalSec", "StartLimitBurst"},
    "Service": {
        *("ExecStart", "ExecReload", "EnvironmentFile", "Restart", "RestartSec", "RestartPreventExitStatus"),
        *("TimeoutStopSec", "LimitNOFILE", "DynamicUser", "StateDirectory", "StateDirectoryMode"),
        *("WorkingDirectory", "UMask", "NoNewPrivileges", "CapabilityBoundingSet", "ProtectSystem", "ProtectHome"),
        *("PrivateTmp", "PrivateDevices", "ProtectClock", "ProtectHostname", "ProtectKernelTunables"),
        *("ProtectKernelModules", "ProtectKernelLogs", "ProtectControlGroups", "ProtectProc"),
        *("RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID"),
        *("LockPersonality", "MemoryDenyWriteExecute", "SystemCallArchitectures", "SystemCallFilter"),
        "SystemCallErrorNumber",
    },
    "Install": {"WantedBy"},
}
_HARDENED = {"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes"}
FINAL = {str(int(status)) for status in (Exit.USAGE, Exit.CONFLICT, Exit.DEPARTED)}


def directives(text: str) -> dict[str, dict[str, str]]:
    """Each section's directives; a line that is no directive stands there with an empty value."""
    sections: dict[str, dict[str, str]] = {}
    section = ""
    for line in text.splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            sections.setdefault(section, {})[name] = value
    return sections


def unit_faults(name: str, text: str) -> list[str]:
    """Everything that is wrong with the unit of this name, a sentence each."""
    sections = directives(text)
    service = sections.get("Service", {})
    faults = [
        f"[{section}] {directive}: unknown there"
        for section, content in sections.items()
        for directive in content
        if directive not in _KNOWN.get(section, ())
    ]
    faults += [f"{key}: expected {value}" for key, value in _HARDENED.items() if service.get(key) != value]
    if service.get("StateDirectory") != name or service.get("WorkingDirectory") != f"/var/lib/{name}":
        faults.append("the state has no directory of its own")
    if service.get("ExecStart", "").split()[:1] != [f"/opt/aurora/bin/{name}"]:
        faults.append("ExecStart: another program")
    if service.get("Restart") not in {"always", "on-failure"}:
        faults.append("Restart: it stays down")
    if name == "aurora-agent":
        if set(service.get("RestartPreventExitStatus", "").split()) != FINAL:
            faults.append("RestartPreventExitStatus: not the statuses that no restart mends")
        if {"PrivateDevices", "DevicePolicy"} & set(service):
            faults.append("the GPUs' devices are cut off")
    return faults
