"""A program that saves node after node into a store, and prints the number of each once it is acknowledged."""

from __future__ import annotations

import asyncio
import sys

from exporter.stores.base import Batch
from exporter.stores.urls import open_store
from tests.support.durables import heartbeats, record, transition


async def write(url: str, number: int) -> None:
    """Save forever, counting up from the number."""
    store = open_store(url)
    await store.open()
    await store.load()
    while True:
        name = f"n{number}"
        await store.save(Batch({name: record(name)}, {}, [transition(name, at=1)], {name: heartbeats(1)}))
        print(number, flush=True)  # noqa: T201 - it is what the program is for
        number += 1


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1], int(sys.argv[2])))
