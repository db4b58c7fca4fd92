"""`python -m tests.fuzz.guided TARGET INPUTS DIRECTORY`: atheris looks for inputs that reach new code, and keeps them.

The directory is the corpus: what is in it is tried first, and what reaches new code is added. libFuzzer ends the
process itself: with 0 when all inputs were tried, and otherwise with a file `crash-...` that has the input.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

MAX_BYTES = 20_000
SLOWEST_SECONDS = 5
"""For one input, under a tracer that makes everything many times as slow."""
GUIDED = ("registration", "heartbeat", "event", "configuration")
"""Targets that are Python of ours. HTTP framing is parsed in C, which nothing here instruments."""


def main() -> None:
    """Fuzz one target."""
    name, inputs, corpus = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if name not in GUIDED:
        sys.exit(f"expected one of {', '.join(GUIDED)}, got {name}")
    with atheris.instrument_imports(include=["exporter"]):
        from tests.fuzz import targets  # noqa: PLC0415 - instrumented while it is imported
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(targets.CORPUS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    arguments = [
        *(f"-runs={inputs}", f"-max_len={MAX_BYTES}", f"-timeout={SLOWEST_SECONDS}", "-print_final_stats=1"),
        f"-artifact_prefix={corpus.parent}/",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], getattr(targets, name))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
