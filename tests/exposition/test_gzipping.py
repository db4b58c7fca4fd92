"""One gzip member from many pieces."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.exposition.gzipping import EMPTY, deflate, gzip_body, inflate, plain_body
from exporter.exposition.yielder import Yielder
from tests.support.examples import examples
from tests.support.http_stub import HttpStub, Response

LARGE = [bytes([65 + number % 26]) * 70_000 + b"\n" for number in range(40)]


@settings(max_examples=examples(50), deadline=None)
@given(texts=st.lists(st.binary(max_size=300)))
def test_pieces_of_anything_make_one_member(texts: list[bytes]) -> None:
    """Whole, with the right checksum and length, and nothing behind it; also of no pieces at all."""
    pieces = [deflate(text) for text in texts]
    body = asyncio.run(gzip_body(pieces, Yielder()))
    member = zlib.decompressobj(wbits=31)
    assert (member.decompress(body), member.eof, member.unused_data) == (b"".join(texts), True, b"")
    assert asyncio.run(plain_body(pieces, Yielder())) == b"".join(texts)


def test_a_large_body_is_the_same() -> None:
    """Its parts are joined in a thread."""
    pieces = [deflate(text) for text in LARGE]
    assert asyncio.run(plain_body(pieces, Yielder())) == b"".join(LARGE)
    assert gzip.decompress(asyncio.run(gzip_body(pieces, Yielder()))) == b"".join(LARGE)
    assert [inflate(piece) for piece in pieces] == LARGE


def test_nothing_takes_no_room() -> None:
    """So that a family without samples is recognized."""
    assert deflate(b"") is EMPTY


def test_curl_reads_it() -> None:
    """It stops after the first member, where others go on."""
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("curl is not installed")
    body = asyncio.run(gzip_body([deflate(text) for text in LARGE], Yielder()))

    with HttpStub(lambda _: Response(200, {"Content-Encoding": "gzip"}, body)) as server:
        command = [curl, "--silent", "--show-error", "--noproxy", "*", "--compressed", server.url]
        done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr, done.stdout == b"".join(LARGE)) == (0, b"", True)
