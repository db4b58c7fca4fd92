"""What can keep an answer from its caller."""

from __future__ import annotations

from exporter.client.endpoint import Endpoint
from exporter.client.http import NoAnswer
from exporter.client.problems import ProblemDocument, retry_after_seconds
from exporter.domain.errors import AuroraError
from exporter.domain.requestoutcome import UNKNOWN_NODE, Response


class ClientError(AuroraError):
    """The registry's answer did not come, or was no."""


class Unreachable(ClientError):
    """No answer came in time; the request may have been received or not, and is safe to repeat."""

    def __init__(self, endpoint: Endpoint, no_answer: NoAnswer) -> None:
        super().__init__(f"cannot reach the registry at {endpoint.url}: {no_answer}")
        self.endpoint = endpoint
        self.cause = no_answer.cause
        self.reason = str(no_answer)


class Refused(ClientError):
    """The registry answered no. `status` is HTTP's; from 500 on, and with 429, the same request may succeed later."""

    def __init__(self, response: Response, problem: ProblemDocument) -> None:
        super().__init__(problem.reason or f"the registry answered {response.status}")
        self.status = response.status
        self.problem = problem
        self.retry_after_seconds = retry_after_seconds(response)

    @property
    def unknown_node(self) -> bool:
        """Whether no node of this name is registered."""
        return self.problem.type == UNKNOWN_NODE


class NotARegistry(ClientError):
    """Something answers, but not as a registry of this version does."""
