"""What can keep an answer from people. Each message is a whole sentence that says what to do next."""

from __future__ import annotations


class Failure(Exception):
    """The program ends with this message on stderr, and `exit_status`."""

    exit_status = 1


class Refused(Failure):
    """The registry said no."""


class NoRegistry(Failure):
    """Something answers, but not as a registry does."""


class Unreachable(Failure):
    """Nothing answers, or not in time."""

    exit_status = 3
