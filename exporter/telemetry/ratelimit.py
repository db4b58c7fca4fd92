"""Warnings that may come by the thousand, sampled so that the log stays readable."""

from __future__ import annotations

import logging

from exporter.domain.clock import SECOND, Clock

EVERY = 10 * SECOND
MAX_FAULT = 500


class RateLimitedLogger:
    """At most one line every ten seconds for each reason."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        self._logger = logger
        self._clock = clock
        self._next_ns: dict[str, int] = {}
        self._suppressed: dict[str, int] = {}

    def warn(self, message: str, reason: str, fault: str) -> None:
        """Write the message, with its fault as an example, or count it for the reason's next line."""
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._next_ns.get(reason, now_ns):
            self._suppressed[reason] = self._suppressed.get(reason, 0) + 1
            return
        self._next_ns[reason] = now_ns + EVERY
        extra = {"reason": str(reason), "fault": fault[:MAX_FAULT], "suppressed": self._suppressed.pop(reason, 0)}
        self._logger.warning(message, extra=extra)
