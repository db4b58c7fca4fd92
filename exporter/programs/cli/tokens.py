"""`aurora-cli token`: files of tokens, made and changed whole or not at all. Secrets are shown only on demand."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path

from exporter.auth.tokenfiles import Token, read_tokens
from exporter.domain.errors import Invalid
from exporter.domain.text import text_fault
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.humanize import count

BYTES = 32
OWNER_ONLY = 0o600


def token(context: Context) -> None:
    """Create, rotate or show."""
    arguments = context.arguments
    path: Path = arguments.file
    if "#" in arguments.label or (arguments.label and text_fault(arguments.label)):
        raise Failure("--label: expected text without # and control characters", exit_status=2)
    if arguments.action == "create":
        _create(path, arguments.label)
        context.show([f"wrote {path}: one token, which only its owner can read"])
    elif arguments.action == "rotate":
        kept = _rotate(path, arguments.label, finish=arguments.finish)
        context.show([f"wrote {path}: {count(kept, 'token')}, the newest first"])
    else:
        context.show(_shown(path, reveal=arguments.reveal))


def _create(path: Path, label: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_line(_new(label)))
    except FileExistsError:
        raise Failure(f"{path} exists: `aurora-cli token rotate` puts a new token into it") from None
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None


def _rotate(path: Path, label: str, *, finish: bool) -> int:
    tokens = _read(path)
    kept = tokens[:1] if finish else (_new(label or tokens[0].label), *tokens)
    fresh = path.with_name(f"{path.name}.new")
    try:
        status = path.stat()
        fresh.unlink(missing_ok=True)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(map(_line, kept))
            # The registry, which may run as another user, can still read it.
            os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        fresh.replace(path)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror}") from None
    return len(kept)


def _shown(path: Path, *, reveal: bool) -> Iterator[str]:
    tokens = _read(path)
    mode = path.stat().st_mode
    yield f"{path}: {count(len(tokens), 'token')}, mode {stat.S_IMODE(mode):o}"
    if mode & stat.S_IROTH:
        yield f"  every user of this machine can read it: chmod 600 {path}"
    for number, each in enumerate(tokens):
        what = each.secret if reveal else f"sha256 {hashlib.sha256(each.secret.encode()).hexdigest()[:12]}..."
        use = "current" if number == 0 else "accepted"
        yield f"  {use:<8}  {what}{f'  {each.label}' if each.label else ''}"


def _read(path: Path) -> tuple[Token, ...]:
    try:
        return read_tokens(str(path))
    except Invalid as error:
        raise Failure(str(error)) from None


def _new(label: str) -> Token:
    return Token(secrets.token_urlsafe(BYTES), label)


def _line(each: Token) -> str:
    return f"{each.secret} # {each.label}\n" if each.label else f"{each.secret}\n"
