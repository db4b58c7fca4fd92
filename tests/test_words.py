"""One word for one thing: what the code and the documents used to say does not come back.

CONTRIBUTING.md has the words. Here stand only those that mean nothing else: a `silence` is Alertmanager's too, and
`heard` is the name of a table in stores that are out there.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXCEPT = {"CHANGELOG.md", "tests/test_words.py"}
"""The history, and this list."""
PROSE = {
    r"silent|silently|unheard|deaf|deafness": "missing, blind, or without a heartbeat",
    r"hears?|overheard": "receives",
    r"farewell": "deregistration",
    r"tells?|told|telling": "reports, sends, shows, says",
    r"speaks?|speaking|speechless": "sends",
    r"whoever|whomever|befalls?|befallen|anew": "who, anybody; happens; again",
    r"to be had|all right": "available; healthy",
    r"hence|whence|thereby|ever (?:new|other)|(?:comes?|came) about": "so; also; more and more; why, is derived",
}
NAMES = {
    r"silence_ns|silence_seconds|last_heard|tell_again|introduce_again": "counted_age_ns, last_heartbeat, resend",
    r"Voice|HttpVoice|BusVoice|TwoVoices": "RegistryClient",
    r"Intake|Announcer|AlertBook|_Told|Hearing|Deaf": "BusConsumer, EventPublisher, AlertTracker, Reception",
    r"hear_of|line_up|_bury|_stranger": "record_remote_heartbeat, enqueue, expire_tombstones, register_implicitly",
    r"Appointments|with_memory": "Deadlines, merge_unsaved",
    r"SampledWarnings|untold": "RateLimitedLogger, suppressed",
    r"aurora_registry_notifications_waiting": "aurora_registry_notifications_queue_length",
    r"Mischief|_litter|_whom|Affliction|surroundings": "FaultInjector, ActiveFault, clean_env",
}
SHARED_NAMES = {
    "exporter/client/documents.py": "a document of the API is called what it describes",
    "exporter/domain/config.py": "a section of config.yaml is called what it configures",
}
"""Modules whose classes may have the name of another one, and why."""


def tracked() -> list[str]:
    """The texts of this repository; none in a copy without Git, such as the source distribution."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no Git checkout: its files are not known")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and name not in EXCEPT]


def test_old_words_do_not_come_back():
    """Each with its place, and what to say instead."""
    patterns = [(True, re.compile(rf"(?<![\w-])(?:{old})(?!\w)", re.IGNORECASE), new) for old, new in PROSE.items()]
    patterns += [(False, re.compile(rf"\b(?:{old})\b"), new) for old, new in NAMES.items()]
    found = []
    for name in tracked():
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture; one that was deleted and not committed yet
        words = text.replace("_", " ")
        found += [
            f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {match[0]!r}; say {new}"
            for spaced, old, new in patterns
            for match in old.finditer(words if spaced else text)
        ]
    assert found == []


def test_a_class_name_means_one_thing():
    """Defined once under exporter/."""
    places = defaultdict(list)
    for path in sorted((ROOT / "exporter").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if name not in SHARED_NAMES:
            for each in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(each, ast.ClassDef):
                    places[each.name].append(name)

    assert {name: where for name, where in places.items() if len(where) > 1} == {}
