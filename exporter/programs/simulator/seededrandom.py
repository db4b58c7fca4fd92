"""Random draws without state: the same key gives the same draw, in any order, in any process."""

from __future__ import annotations

import hashlib
import math

_DIGEST_BYTES = 6
_RANGE = 2.0 ** (8 * _DIGEST_BYTES)


def draw(*key: object) -> float:
    """A number from 0 up to, and without, 1; evenly spread over keys, however alike they are."""
    return int.from_bytes(_digest(key, _DIGEST_BYTES)) / _RANGE


def serial(*key: object) -> str:
    """32 hexadecimal digits, for identities that a machine or a GPU has for life."""
    return _digest(key, 16).hex()


def wander(at: float, *key: object) -> float:
    """A smooth walk between 0 and 1 along `at`, that turns about once a unit."""
    step = math.floor(at)
    part = at - step
    weight = part * part * (3 - 2 * part)
    return draw(*key, step) * (1 - weight) + draw(*key, step + 1) * weight


def _digest(key: tuple[object, ...], size: int) -> bytes:
    return hashlib.blake2b("/".join(map(str, key)).encode(), digest_size=size).digest()
