"""People take nodes out of service, and put them back."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.access import actor_of
from exporter.api.bodies import read_json
from exporter.api.documents import Renderer
from exporter.api.queries import parse_moment
from exporter.api.responses import Handler, json_response
from exporter.api.service import Service
from exporter.auth.audit import BACK, DRAIN, MAINTENANCE
from exporter.domain.command import SetLifecycle
from exporter.domain.duration import DAY
from exporter.domain.errors import Fault, Invalid, UnknownNode
from exporter.domain.lifecycle import DEFAULT_LEAVE, IN_SERVICE, Lifecycle, Phase
from exporter.domain.shape import shaped
from exporter.domain.text import shown, text_fault

LONGEST_LEAVE = 3650 * DAY
EXPECTED = "expected a time such as 2025-10-06T12:00:05Z or a duration such as 2h, in the future and within ten years"


_ACTIONS = {Phase.MAINTENANCE: MAINTENANCE, Phase.DRAINING: DRAIN, Phase.IN_SERVICE: BACK}


class Leave(msgspec.Struct, forbid_unknown_fields=True):
    """`until`: a time, or a duration from now; 24h where it is left out."""

    reason: str | None = None
    until: str | None = None


def take_out(service: Service, phase: Phase) -> Handler:
    """The node is draining or in maintenance from now on, whatever it was before; answers with its document."""

    async def handle(request: Request) -> Response:
        body = await read_json(request, service.config.limits.max_body)
        node_map = service.node_map
        leave = shaped({} if body is None else body, Leave)
        lifecycle = _lifecycle(leave, phase, node_map.clock.wall_ns())
        return await _set(service, request, SetLifecycle(request.path_params["name"], lifecycle))

    return handle


def put_back(service: Service, phase: Phase) -> Handler:
    """The node is in service again, if this phase was what kept it out of it; answers with its document."""

    async def handle(request: Request) -> Response:
        return await _set(service, request, SetLifecycle(request.path_params["name"], IN_SERVICE, phase))

    return handle


async def _set(service: Service, request: Request, command: SetLifecycle) -> Response:
    known = service.node_map.find(command.name)
    before = known.record if known else None
    node = await service.submit(command)
    if node is None:
        raise UnknownNode(command.name)
    if node.record is not before:
        lifecycle = command.lifecycle
        service.audit.record(_ACTIONS[lifecycle.phase], actor_of(request), command.name, lifecycle.reason)
    return json_response(Renderer(service.node_map).document(node))


def _lifecycle(leave: Leave, phase: Phase, wall_ns: int) -> Lifecycle:
    faults = []
    if fault := text_fault(leave.reason or ""):
        faults.append(Fault("reason", fault))
    until_ns = wall_ns + DEFAULT_LEAVE
    if leave.until is not None:
        try:
            until_ns = _until(leave.until, wall_ns)
        except ValueError as error:
            faults.append(Fault("until", str(error)))
    if faults:
        raise Invalid(faults)
    return Lifecycle(phase, until_ns, leave.reason or "")


def _until(text: str, wall_ns: int) -> int:
    until_ns = parse_moment(text, wall_ns, direction=1, expected=EXPECTED)
    if not wall_ns < until_ns <= wall_ns + LONGEST_LEAVE:
        raise ValueError(f"{EXPECTED}, got {shown(text)}")
    return until_ns
