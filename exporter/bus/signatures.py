"""Whether an event is signed by somebody who may send it, and was not sent before."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import msgspec

from exporter.auth.keyring import CredentialKind, Keyring, Principal
from exporter.bus.events import Unreadable
from exporter.domain.clock import MILLISECOND, MINUTE, SECOND, Clock
from exporter.domain.command import Depart, Register
from exporter.domain.heartbeat import Heartbeat
from exporter.domain.signing import event_code, signature_of
from exporter.telemetry.reasons import Rejection

WINDOW = MINUTE
"""How far a sender's clock may be from ours, or from where its last event puts it."""
MAX_SIGNERS = 1_000_000
Event = Heartbeat | Register | Depart


class _Envelope(msgspec.Struct, gc=False):
    type: str
    data: msgspec.Raw
    signature: Any = None


_decode = msgspec.json.Decoder(_Envelope).decode


class SignatureCheck:
    """Remembers the time of each signer's last event: one from before it is a repetition."""

    def __init__(self, keyring: Callable[[], Keyring], required: Callable[[], bool], clock: Clock) -> None:
        """`required`: whether events without a signature are refused."""
        self._keyring = keyring
        self._required = required
        self._clock = clock
        self._started_ns = clock.monotonic_ns()
        self._latest: dict[tuple[str, CredentialKind], tuple[int, int]] = {}
        """When the last event of a signer about a node was sent (its clock, ms) and received (monotonic)."""

    def check(self, payload: bytes, event: Event) -> Principal | None:
        """Who signed the event; None where nobody did and nobody need. Raises Unreadable."""
        keyring = self._keyring()
        if not keyring.signs_events:
            return None
        required = self._required()
        try:
            envelope = _decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            envelope = None
        if envelope is None or envelope.signature is None:
            if required:
                raise Unreadable(Rejection.UNSIGNED, "signature: required (auth.require_signed_events)")
            return None
        name = event.node if isinstance(event, Heartbeat) else event.name
        stated = signature_of(envelope.signature)
        if stated is None:
            raise Unreadable(Rejection.BAD_SIGNATURE, "signature: expected t=MILLISECONDS,v1=CODE")
        at_ms, code = stated
        signer = self._signer(keyring, name, envelope, at_ms, code)
        if signer is None:
            raise Unreadable(Rejection.BAD_SIGNATURE, f"signature: it is not {name}'s, for this type, time and data")
        self._note(name, signer.kind, at_ms)
        return signer

    @staticmethod
    def _signer(keyring: Keyring, name: str, envelope: _Envelope, at_ms: int, code: str) -> Principal | None:
        found, given, data = None, code.encode("utf-8", "replace"), bytes(envelope.data)
        for principal, token in keyring.signers(name):
            right = event_code(token, envelope.type, at_ms, data)
            if hmac.compare_digest(right.encode(), given):
                found = principal
        return found

    def _note(self, name: str, kind: CredentialKind, at_ms: int) -> None:
        """Raise Unreadable unless the event is a new one: sent after the last one, and about now.

        About now is by our wall clock, or by the time since the last one: so no jump of our clock refuses a node. The
        first event of a signer must be of our own time as well: we do not know which were received before we started.
        """
        now_ns = self._clock.monotonic_ns()
        late_ns = self._clock.wall_ns() - at_ms * MILLISECOND
        latest = self._latest.get((name, kind))
        if latest is None:
            if now_ns - self._started_ns < late_ns <= WINDOW:
                raise Unreadable(
                    Rejection.STALE_SIGNATURE,
                    f"signature: its time, {late_ns / SECOND:.0f} s ago, is before the registry started",
                )
        else:
            latest_ms, received_ns = latest
            if at_ms <= latest_ms:
                raise Unreadable(Rejection.STALE_SIGNATURE, "signature: its time is not after that of an earlier event")
            since_ns = (now_ns - received_ns) - (at_ms - latest_ms) * MILLISECOND
            late_ns = min(late_ns, since_ns, key=abs)
        if abs(late_ns) > WINDOW:
            off = f"{abs(late_ns) / MINUTE:.0f} minutes off"
            raise Unreadable(Rejection.STALE_SIGNATURE, f"signature: its time is {off}: set the clocks")
        # Behind all others: who is heard of no more is forgotten first.
        self._latest.pop((name, kind), None)
        if len(self._latest) >= MAX_SIGNERS:
            del self._latest[next(iter(self._latest))]
        self._latest[name, kind] = at_ms, now_ns
