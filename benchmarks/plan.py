"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """Sizes of one run. `rounds` are of the registry; a peer that takes seconds for one scrape gets `slow_rounds`."""

    scrape_nodes: tuple[int, ...] = (1_000, 10_000, 100_000)
    rounds: int = 9
    slow_rounds: int = 3
    http_nodes: int = 1_000
    http_seconds: int = 5
    http_rounds: int = 3
    pushgateway_groups: int = 2_000
    bus_events: int = 400_000
    bus_rounds: int = 3
    memory_nodes: int = 100_000
    wait_nodes: int = 100_000
    wait_seconds: int = 20
    limit_nodes: int = 10_000
    limit_heartbeats: int = 600
    """Turns of each contender."""
    limit_scrapes: int = 500
    """Many and short ones: a machine that others use as well changes its pace from one second to the next."""
    attack_nodes: int = 20_000
    attack_connections: int = 500
    attack_seconds: int = 10
    event_streams: int = 1_000
    event_seconds: int = 15
    page_nodes: int = 5_000
    page_changes: int = 50
    rule_nodes: tuple[int, ...] = (10_000, 30_000)
    rule_warm_seconds: int = 150
    rule_rounds: int = 3
    mass_nodes: int = 100_000
    mass_warning_after: int = 80
    """Seconds."""
    agent_seconds: int = 120


FULL = Plan()
QUICK = Plan(
    scrape_nodes=(1_000, 3_000),
    rounds=3,
    slow_rounds=1,
    http_seconds=1,
    http_rounds=1,
    pushgateway_groups=200,
    bus_events=50_000,
    bus_rounds=1,
    memory_nodes=5_000,
    wait_nodes=5_000,
    wait_seconds=3,
    limit_nodes=1_000,
    limit_heartbeats=5,
    limit_scrapes=5,
    attack_nodes=2_000,
    attack_connections=50,
    attack_seconds=5,
    event_streams=50,
    event_seconds=2,
    page_nodes=500,
    page_changes=5,
    rule_nodes=(1_000,),
    rule_warm_seconds=40,
    rule_rounds=1,
    mass_nodes=2_000,
    mass_warning_after=6,
    agent_seconds=5,
)
