"""What can keep an answer from people. Each message is a whole sentence that says what to do next."""

from __future__ import annotations

from exporter.client.errors import ClientError, Refused, Unreachable
from exporter.client.http import Cause
from exporter.programs.cli.terminal import escape_control

ELSEWHERE = "name another with --registry or AURORA_REGISTRY"
UNAVAILABLE, UNAUTHORIZED, FORBIDDEN = 503, 401, 403
UNREACHABLE_STATUS = 3


class Failure(Exception):
    """The program ends with this message on stderr, and `exit_status`."""

    def __init__(self, message: str, exit_status: int = 1) -> None:
        super().__init__(message)
        self.exit_status = exit_status


def failure_of(error: ClientError) -> Failure:
    """The failure that an error of the client is."""
    if isinstance(error, Unreachable):
        return Failure(escape_control(f"{error}. {_next_step(error)}"), UNREACHABLE_STATUS)
    if isinstance(error, Refused):
        return Failure(_sentences(error))
    text = escape_control(str(error))
    return Failure(text if text.endswith((".", "?")) else f"{text}, or {ELSEWHERE}.")


def _next_step(error: Unreachable) -> str:
    return {
        Cause.HOST_NAME: f"Check it, or {ELSEWHERE}.",
        Cause.TLS: ("For a private authority, --ca-file names its certificate; http:// is for a registry without TLS."),
        Cause.CONNECTION: f"Is aurora-registry running there? Otherwise {ELSEWHERE}.",
        Cause.TIMEOUT: f"Wait longer with --timeout, or {ELSEWHERE}.",
        Cause.PROTOCOL: "Does aurora-registry listen there, and is it http:// or https://?",
    }[error.cause]


def _sentences(error: Refused) -> str:
    problem = error.problem
    if problem.errors:
        lines = ["the registry refused the request:", *(f"  {fault}" for fault in problem.errors)]
    else:
        lines = [_sentence(problem.detail or problem.title or f"the registry answered {error.status}")]
    if error.unknown_node:
        lines[-1] += " `aurora-cli nodes` lists those that are."
    if error.status == UNAVAILABLE:
        seconds = error.retry_after_seconds
        lines[-1] += f" Try again {'in a moment' if seconds is None else f'in {seconds:g} seconds'}."
    if error.status in {UNAUTHORIZED, FORBIDDEN}:
        lines[-1] += " A token is named by --token-file or AURORA_TOKEN_FILE." if error.status == UNAUTHORIZED else ""
    return "\n".join(escape_control(line) for line in lines)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
