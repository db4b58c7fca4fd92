"""The registry's answers to the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from exporter.domain.requestoutcome import Outcome


class Reply(NamedTuple):
    """The registry's answer, or what takes its place where none came."""

    outcome: Outcome
    reason: str = ""
    """A sentence for people without its full stop: what is wrong and what to do."""
    retry_after_seconds: float | None = None
    document: Mapping[str, Any] = {}
    """What the registry answered, where that was a JSON object."""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return self.outcome is Outcome.OK


OK = Reply(Outcome.OK)
