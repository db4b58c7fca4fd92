"""Small in memory: the agent is a guest on its node."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from importlib import import_module

OWN_HASHES = (("_md5",), ("_sha1",), ("_sha3",), ("_blake2",), ("_sha2", "_sha256"))
"""The modules of the hashes that Python brings itself; the last one's name depends on its version."""


M_ARENA_MAX = -8
"""The GNU library's parameter: see mallopt(3)."""


def one_heap() -> None:
    """Have all threads share a heap: one for each, as the GNU library has it, is for those that compute."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def without_openssl() -> None:
    """Have hashlib use Python's own hashes: OpenSSL, loaded for that alone, weighs as much as all of the agent.

    Where a distribution left them out, OpenSSL it is. TLS is not touched.
    """
    if "_hashlib" in sys.modules or not all(map(_any_of, OWN_HASHES)):
        return
    sys.modules["_hashlib"] = None  # type: ignore[assignment]  # so that its import fails
    try:
        import_module("hashlib")
        import_module("hmac")
    finally:
        del sys.modules["_hashlib"]


def give_back() -> None:
    """What starting took, and nobody needs any more, goes back to the system; only the GNU library can."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _any_of(names: tuple[str, ...]) -> bool:
    for name in names:
        try:
            import_module(name)
        except ImportError:
            continue
        return True
    return False
