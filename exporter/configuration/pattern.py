"""Regular expressions as Prometheus has them: RE2, whose matching takes linear time whatever the pattern is."""

from __future__ import annotations

from typing import Any

import re2  # type: ignore[import-untyped]  # as it ships

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.never_capture = True


def compile_pattern(text: str) -> Any:
    """The compiled pattern, which has `fullmatch`; raises ValueError that says what is wrong with it."""
    try:
        return re2.compile(text, _OPTIONS)
    except (re2.error, UnicodeEncodeError) as error:
        reason = error.args[0] if error.args else error
        raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
