"""Files with tokens: one token a line, the first is the current one, all are accepted."""

from __future__ import annotations

import logging
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from exporter.configuration.inputfile import read_file
from exporter.domain.errors import Invalid
from exporter.domain.signing import NODE_TOKEN
from exporter.domain.text import text_fault

SHORTEST, LONGEST = 16, 512
MAX_TOKENS = 64
MAX_BYTES = 65_536
HOW_TO_CREATE = "`aurora-cli token create FILE` makes one"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_log = logging.getLogger("aurora.auth")

Seen = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Token:
    """A secret, and what people call it: the text behind a `#` on its line."""

    secret: str
    label: str = ""

    def __repr__(self) -> str:
        # No traceback and no log line shows the secret.
        return f"Token({self.label!r})"


def read_tokens(path: str) -> tuple[Token, ...]:
    """The file's tokens, at least one. Raises Invalid, which names the line and never repeats it."""
    tokens: dict[str, Token] = {}
    for number, line in enumerate(read_file(path, MAX_BYTES).decode("utf-8", "replace").splitlines(), 1):
        secret, _, label = (part.strip() for part in line.partition("#"))
        if not secret:
            continue
        if fault := _fault(secret) or text_fault(label):
            raise Invalid.of("", f"{path}, line {number}: {fault}")
        tokens.setdefault(secret, Token(secret, label))
    if not tokens:
        raise Invalid.of("", f"{path} holds no token: {HOW_TO_CREATE}")
    if len(tokens) > MAX_TOKENS:
        raise Invalid.of("", f"{path}: expected at most {MAX_TOKENS} tokens, got {len(tokens)}")
    return tuple(tokens.values())


def seen(path: str) -> Seen | None:
    """What is different once the file was changed or replaced; None where there is none."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def warn_if_open(path: str) -> None:
    """Log a warning where every user of this machine may read the file."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return
    if mode & stat.S_IROTH:
        _log.warning("every user of this machine can read a file of secrets: chmod 600", extra={"file": path})


def _fault(secret: str) -> str | None:
    if not SHORTEST <= len(secret) <= LONGEST:
        return f"expected a token of {SHORTEST} to {LONGEST} characters, got {len(secret)}: {HOW_TO_CREATE}"
    if not _TOKEN.fullmatch(secret):
        return "expected a token of letters, digits and -._~+/ alone, and behind a # its name"
    return "expected no token of a node: those are derived" if secret.startswith(NODE_TOKEN) else None
