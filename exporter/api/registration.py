"""Registering, and leaving on purpose."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from exporter.api.access import act_for, actor_of
from exporter.api.bodies import read_json
from exporter.api.documents import Renderer
from exporter.api.join import upgrade_of
from exporter.api.problems import Problem
from exporter.api.queries import boolean, parse_query
from exporter.api.rates import NEW_NODE
from exporter.api.responses import Handler, encode, json_response, seconds
from exporter.api.service import Service
from exporter.auth.audit import ACCEPTED, CLAIM_REFUSED, DEREGISTERED
from exporter.auth.keyring import CredentialKind
from exporter.domain.command import Depart, Register, SetGpuCount
from exporter.domain.errors import Invalid, NameConflict, UnknownNode
from exporter.domain.node import Removal
from exporter.domain.registration import Count, parse_registration
from exporter.domain.shape import shaped

_OWNERS = frozenset({CredentialKind.JOIN, CredentialKind.NODE})
"""Whose registration is answered with the node's token: an operator has no need of it."""


def register(service: Service) -> Handler:
    """A node says what it is: 201 when it is new, 200 when it was known."""

    async def handle(request: Request) -> Response:
        body = await read_json(request, service.config.limits.max_body)
        if body is None:
            raise Invalid.of("", "expected a registration as a JSON object, got no body")
        registration = parse_registration(body)
        actor = act_for(request, registration.name)
        node_map = service.node_map
        before = node_map.find(registration.name)
        facts = before.facts if before else None
        if before is None and NEW_NODE in request.scope:
            request.scope[NEW_NODE]()
        try:
            node = await service.submit(Register(registration, heartbeat=_is_heartbeat(request)))
        except NameConflict:
            node_map.note_conflict(registration.name)
            service.audit.record(CLAIM_REFUSED, actor, registration.name)
            raise
        if node is None:
            raise UnknownNode(registration.name)
        service.audit.registered(actor, facts, registration)
        interval = encode(seconds(service.config.thresholds.heartbeat_interval))
        document = Renderer(node_map).document(node)
        answer = b'%b,"heartbeat_interval_seconds":%b' % (document[:-1], interval)
        if upgrade := await upgrade_of(registration.agent):
            answer += b',"agent_upgrade":' + encode(upgrade)
        headers = {} if facts else {"Location": f"/nodes/{registration.name}"}
        if actor.principal and actor.principal.kind in _OWNERS and (token := service.keyring.node_token(node.name)):
            answer += b',"token":' + encode(token)
            headers["Cache-Control"] = "no-store"
        answer += b"}"
        return json_response(answer, 200 if facts else 201, headers)

    return handle


def _is_heartbeat(request: Request) -> bool:
    """`?heartbeat=false`: somebody else registers the node, which need not be alive."""
    found: bool = parse_query(request.scope["query_string"], {"heartbeat": boolean}).get("heartbeat", True)
    return found


class GpusAccepted(msgspec.Struct, forbid_unknown_fields=True):
    """How many GPUs the node should have; what it has now where it is left out."""

    gpus: Count | None = None


def accept(service: Service) -> Handler:
    """What the node has now, or so many GPUs as a person says, is what it should have; answers with its document."""

    async def handle(request: Request) -> Response:
        body = await read_json(request, service.config.limits.max_body)
        count = shaped({} if body is None else body, GpusAccepted).gpus
        name = request.path_params["name"]
        if count is None:
            count = service.node_map.get(name).gpus_observed
        if count is None:
            raise Problem(
                409, 'no heartbeat of this node reported its GPUs yet: say how many there should be, as {"gpus": 1}'
            )
        accepted = await service.submit(SetGpuCount(name, count))
        if accepted is None:
            raise UnknownNode(name)
        service.audit.record(ACCEPTED, actor_of(request), name, f"{count} GPUs")
        return json_response(Renderer(service.node_map).document(accepted))

    return handle


def depart(service: Service) -> Handler:
    """A planned leave; to say it again, since the first answer was lost, is no fault."""

    async def handle(request: Request) -> Response:
        name = request.path_params["name"]
        try:
            await service.submit(Depart(name))
        except UnknownNode:
            tombstone = service.node_map.departed.get(name)
            if tombstone is None or tombstone.removal is not Removal.DEPARTED:
                raise
        else:
            service.audit.record(DEREGISTERED, actor_of(request), name)
        return Response(status_code=204)

    return handle
