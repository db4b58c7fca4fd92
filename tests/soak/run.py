"""One soak: servers, nodes, faults and the oracle, for so many seconds, from one seed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.disturbances import Disturbance, Disturbances
from tests.soak.faults import Faults
from tests.soak.fleet import Fleet
from tests.soak.oracle import Limits, Oracle
from tests.soak.stack import Stack
from tests.soak.watch import Watch

WARNING_AFTER, OFFLINE_AFTER, INTERVAL = 6, 9, 1.5
SETTINGS = {
    "thresholds": {
        "heartbeat_interval": f"{INTERVAL * 1000:.0f}ms",
        "warning_after": f"{WARNING_AFTER}s",
        "offline_after": f"{OFFLINE_AFTER}s",
    },
    "log": {"level": "info"},
}
SETTLE = 6.0
"""Seconds after a fault until all is as if it had not been: connected again, merged, and the grace over."""
CALM = (SETTLE + 1.0, SETTLE + 9.0)
PROGRESS_EVERY = 10.0
LOOK_EVERY = 0.5
SHOWN = 5
"""So many mismatches are said as they come; all of them at the end."""
PATIENCE = 30
"""Seconds that a registry has at the end to be blind no more."""
STALL = 0.7
"""Seconds by which this process may be late without being a disturbance itself."""


@dataclass
class Result:
    """What came of it."""

    seed: str
    seconds: float
    faults: dict[str, int]
    comparisons: int
    heartbeats: int
    events: int
    writes: int
    stalls: int
    lost: list[str] = field(default_factory=list)
    mismatches: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether nothing was lost, false or published twice."""
        return not (self.lost or self.mismatches or self.duplicates)

    def lines(self) -> list[str]:
        """The table, and whatever was wrong."""
        rows = [
            *((f"injected: {name}", count) for name, count in sorted(self.faults.items())),
            ("documents compared", self.comparisons),
            ("heartbeats received", self.heartbeats),
            ("events on the bus", self.events),
            ("stalls of this machine", self.stalls),
            ("acknowledged writes", self.writes),
            ("lost", len(self.lost)),
            ("mismatches", len(self.mismatches)),
            ("duplicate events", len(self.duplicates)),
        ]
        width = max(len(name) for name, _ in rows)
        wrong = [f"  {each}" for each in (*self.lost, *self.mismatches, *self.duplicates)]
        return [f"{name:<{width}} {count:>9}" for name, count in rows] + wrong


async def soak(directory: Path, seed: str, seconds: float, *, nodes: int, say: Callable[[str], None]) -> Result:
    """Play it; `say` gets a line every ten seconds, and one for each round of faults."""
    disturbances = Disturbances(SETTLE)
    oracle = Oracle(Limits(WARNING_AFTER, OFFLINE_AFTER, INTERVAL), disturbances)
    began = time.monotonic()
    async with Stack(directory, SETTINGS) as stack, Fleet(stack, oracle, seed, nodes, INTERVAL) as fleet:
        watch, faults = Watch(stack, oracle), Faults(stack, oracle, fleet, seed)
        stalls = 0

        def lagged(late: float) -> None:
            nonlocal stalls
            if late > STALL:
                stalls += 1
                now = time.monotonic()
                disturbance = disturbances.begin("stall", "", now - late)
                disturbances.end(disturbance, now)

        fleet.lagged = lagged
        tasks = [asyncio.create_task(watch.run()), asyncio.create_task(_note_failovers(stack, disturbances, say))]
        await fleet.register_all()
        tasks += [asyncio.create_task(fleet.run()), asyncio.create_task(_progress(oracle, fleet, watch, began, say))]
        try:
            work = asyncio.create_task(_play(faults, fleet, oracle, began + seconds, say))
            await asyncio.wait([work, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in (work, *tasks):
                if task.done():
                    task.result()
        finally:
            for task in (work, *tasks):
                task.cancel()
            await asyncio.gather(work, *tasks, return_exceptions=True)
        oracle.finish()
        return Result(
            seed,
            time.monotonic() - began,
            dict(faults.injected),
            oracle.comparisons,
            fleet.heartbeats,
            watch.events,
            oracle.acknowledged_writes,
            stalls,
            oracle.lost,
            [*oracle.mismatches, *faults.complaints],
            oracle.duplicates,
        )


async def _note_failovers(stack: Stack, disturbances: Disturbances, say: Callable[[str], None]) -> None:
    """A Sentinel on a busy machine takes a Redis for dead that nobody touched: a disturbance like those injected."""
    disturbance: Disturbance | None = None
    while True:
        settled, now = await stack.is_settled(), time.monotonic()
        if not settled and disturbance is None:
            disturbance = disturbances.begin("Redis not settled", "", now - LOOK_EVERY)
        elif settled and disturbance is not None:
            disturbances.end(disturbance, now)
            say(f"  ({now - disturbance.began:.1f} s without a settled Redis)")
            disturbance = None
        await asyncio.sleep(LOOK_EVERY)


async def _play(faults: Faults, fleet: Fleet, oracle: Oracle, end: float, say: Callable[[str], None]) -> None:
    """Rounds of faults, each followed by calm; at the end, calm enough for everything to be compared."""
    last_calm = OFFLINE_AFTER + WARNING_AFTER / 2 + SETTLE + 6
    await asyncio.sleep(3)
    while time.monotonic() < end - last_calm - 5:
        began = time.monotonic()
        names = await faults.round()
        say(f"  {', '.join(names)} ({time.monotonic() - began:.1f} s)")
        await asyncio.sleep(min(faults.draw_calm(*CALM), max(0.0, end - last_calm - time.monotonic())))
    await asyncio.sleep(last_calm / 2)
    fleet.acting = False
    await asyncio.sleep(last_calm / 2)
    for _ in range(PATIENCE):
        if oracle.blind:  # A machine that is busy may have stalled one just now.
            await asyncio.sleep(1)
    faults.read_logs()


async def _progress(oracle: Oracle, fleet: Fleet, watch: Watch, began: float, say: Callable[[str], None]) -> None:
    kinds = oracle.lost, oracle.mismatches, oracle.duplicates
    shown = [0, 0, 0]
    while True:
        await asyncio.sleep(PROGRESS_EVERY)
        for kind, count in zip(kinds, shown, strict=True):
            for each in kind[count : count + SHOWN]:
                say(f"  ! {each}")
        shown = [len(kind) for kind in kinds]
        say(
            f"{time.monotonic() - began:5.0f} s: {fleet.heartbeats} heartbeats, {oracle.acknowledged_writes} writes, "
            f"{watch.looks} looks, {len(oracle.lost)} lost, {len(oracle.mismatches)} mismatches, "
            f"{len(oracle.duplicates)} duplicate events"
        )
