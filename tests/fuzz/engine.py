"""Mutated inputs for everything that reads what comes from outside. The same seed makes the same inputs."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Target = Callable[[bytes], None]
TOKENS = (
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b'"',
        b"\\",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xe2\x80\xae",
        b"\r\n",
        b" ",
    ),
    *(b"null", b"true", b"false", b"NaN", b"Infinity", b"-0", b"1e999", b"18446744073709551616", b"0.1", b'"\\ud800"'),
    *(b'"name"', b'"node"', b'"type"', b'"data"', b'"gpus"', b'"status"', b'"index"', b'"capabilities"', b'"links"'),
    *(
        b"Content-Length: 1\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"0\r\n\r\n",
        b"Upgrade: h2c\r\n",
        b"HTTP/1.1",
        b"a: b\r\n",
    ),
    *(b"&a", b"*a", b"!!python/object:os.system", b"<<: ", b"- ", b"? ", b"| ", b"\t", b"#", b"%YAML 9"),
)
MAX_INPUT = 20_000
REPEATED = 200


class Failed(AssertionError):
    """A target did what it must not; the message has the input, so that it can join the corpus."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run was."""

    inputs: int
    slowest_seconds: float


def mutated(corpus: Sequence[bytes], seed: int) -> Iterator[bytes]:
    """Endless inputs: pieces of the corpus cut, doubled, spliced, and sprinkled with what parsers stumble over."""
    seeded_random = random.Random(seed)
    yield from corpus
    while True:
        data = bytearray(seeded_random.choice(corpus))
        for _ in range(seeded_random.randint(1, 6)):
            at = seeded_random.randint(0, len(data))
            match seeded_random.randint(0, 6):
                case 0:
                    data[at:at] = seeded_random.choice(TOKENS)
                case 1:
                    del data[at : at + seeded_random.randint(1, 20)]
                case 2 if data:
                    data[at % len(data)] = seeded_random.randint(0, 255)
                case 3:
                    data[at:at] = data[at : at + seeded_random.randint(1, 60)] * seeded_random.randint(1, 20)
                case 4:
                    other = seeded_random.choice(corpus)
                    data[at:] = other[seeded_random.randint(0, len(other)) :]
                case 5:
                    data[at:at] = seeded_random.choice(TOKENS) * seeded_random.randint(1, REPEATED)
                case _:
                    end = at + seeded_random.randint(1, 10)
                    data[at:end] = seeded_random.choice(TOKENS)
        yield bytes(data[:MAX_INPUT])


def run(target: Target, corpus: Sequence[bytes], seed: int, inputs: int) -> Outcome:
    """Give the target so many inputs; raises Failed at the first that it does not stand."""
    slowest = 0.0
    for number, data in zip(range(inputs), mutated(corpus, seed), strict=False):
        began = time.perf_counter()
        try:
            target(data)
        except Exception as error:
            raise Failed(f"seed {seed}, input {number}: {type(error).__name__}: {error}\n{data!r}") from error
        slowest = max(slowest, time.perf_counter() - began)
    return Outcome(inputs, slowest)
