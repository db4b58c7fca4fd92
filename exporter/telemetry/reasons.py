"""Why something was rejected, or what came of it: the values of labels, which `/metrics` has from the start."""

from __future__ import annotations

import enum


class Rejection(enum.StrEnum):
    """Why an event on the bus was rejected; each stands in `/metrics` from the start."""

    TOO_LARGE = "too_large"
    TOO_COMPLEX = "too_complex"
    """More values, or nested deeper, than is read."""
    NOT_JSON = "not_json"
    NOT_OBJECT = "not_object"
    NO_TYPE = "no_type"
    BAD_HEARTBEAT = "bad_heartbeat"
    BAD_REGISTRATION = "bad_registration"
    BAD_DEREGISTRATION = "bad_deregistration"
    UNSIGNED = "unsigned"
    BAD_SIGNATURE = "bad_signature"
    STALE_SIGNATURE = "stale_signature"
    """Sent before, or by a clock that is far off."""
    UNKNOWN_NODE = "unknown_node"
    NAME_CONFLICT = "name_conflict"
    SUPERSEDED = "superseded"
    """It waited while the registry did not receive, and its node was changed since."""
    NODE_LIMIT = "node_limit"
    STATE_LIMIT = "state_limit"
    OVERLOAD = "overload"
    """Registrations and departures arrived faster than the store takes them."""
    STORE_UNAVAILABLE = "store_unavailable"


class Refusal(enum.StrEnum):
    """Why a request, or a connection, was refused before its handler; `/metrics` has each from the start."""

    MALFORMED = "malformed"
    HEAD_TOO_LARGE = "head_too_large"
    RECEIVE_TIMEOUT = "receive_timeout"
    SEND_TIMEOUT = "send_timeout"
    HANDSHAKE = "handshake"
    """The TLS handshake failed or took too long."""
    CONNECTIONS = "connections"
    IDLE_CONNECTION = "idle_connection"
    """Closed to make room for another one."""
    REQUEST_RATE = "request_rate"
    NEW_NODE_RATE = "new_node_rate"
    BUSY = "busy"
    """Too many large answers are being read."""
    UNTRUSTED = "untrusted"
    UNAUTHENTICATED = "unauthenticated"
    """Without a token, or with one that nobody has."""
    FORBIDDEN = "forbidden"
    """With a token that does not suffice."""
    CROSS_SITE = "cross_site"
    UNKNOWN_HOST = "unknown_host"


class Notification(enum.StrEnum):
    """The outcome of an alert posted to an Alertmanager; `/metrics` has each from the start."""

    SENT = "sent"
    FAILED = "failed"
    """It will be tried again."""
    DROPPED = "dropped"
