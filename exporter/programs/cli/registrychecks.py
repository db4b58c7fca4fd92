"""The registry's part of the way: it answers, keeps, hears, and is read by a scrape."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from exporter.domain.errors import Invalid
from exporter.programs.cli.findings import Finding
from exporter.programs.cli.httpendpoint import HttpEndpoint, NoAnswer
from exporter.programs.cli.humanize import count, duration
from exporter.redislink.connecting import connect
from exporter.redislink.errors import REDIS_ERRORS, explain
from exporter.redislink.url import parse_redis_url

SLOW_SCRAPE = 5.0
"""Seconds; Prometheus gives a scrape ten by default."""
OURS = ("aurora_registry_build_info", "aurora_registry_store_up")
OF_NODES = ("aurora_mesh_nodes", "aurora_node_info", "aurora_node_status", "aurora_node_last_seen_age_seconds")
REJECTED = "aurora_registry_events_rejected_total"
EVENT = {"type": "aurora_doctor", "source_node": "aurora-cli", "data": {}}
Samples = list[tuple[str, dict[str, str], float]]


def check_registry(registry: HttpEndpoint, metrics_path: str, event_bus: str | None, channel: str) -> Iterator[Finding]:
    """All that can be known of it from outside; the first finding alone where it does not answer."""
    try:
        health = registry.get("/health").document()
        nodes, version, store, bus = health["nodes"], health["version"], health["store"], health["event_bus"]
        uptime = duration(health["uptime_seconds"])
    except NoAnswer as error:
        told = f"{registry.where} does not answer as one: {error}"
        yield Finding("wrong", "registry", told, "Start aurora-registry, or name another with --registry.")
        return
    except (KeyError, TypeError, ValueError):
        told = f"what answers at {registry.where} is no registry"
        yield Finding("wrong", "registry", told, "Check the address given with --registry.")
        return
    yield Finding("ok", "registry", f"{registry.where} is version {version}, up {uptime}, {count(nodes, 'node')}")
    yield _ready(registry)
    if store == "up":
        yield Finding("ok", "store", "up")
    else:
        yield Finding("wrong", "store", f"{store}: changes are refused", "The registry's log says why.")
    yield _bus(bus)
    try:
        samples, seconds = _scrape(registry, metrics_path)
    except NoAnswer as error:
        told = f"{registry.where}{metrics_path}: {error}"
        yield Finding("wrong", "scrape", told, "If web.telemetry_path is another, name it with --metrics-path.")
        return
    yield _scraped(samples, seconds, nodes)
    yield from _hearing(samples)
    yield _reload(samples)
    if event_bus:
        yield _round_trip(registry, metrics_path, event_bus, channel, samples)


def _ready(registry: HttpEndpoint) -> Finding:
    try:
        reply = registry.get("/-/ready")
    except NoAnswer as error:
        return Finding("wrong", "ready", str(error), "Try again in a moment.")
    if reply.good:
        return Finding("ok", "ready", "its node map is loaded")
    return Finding("wrong", "ready", f"it answered {reply.status}: it loads or stops", "Look at the store, then again.")


def _bus(bus: str) -> Finding:
    if bus == "none":
        return Finding("ok", "event bus", "none is configured: heartbeats come over HTTP only")
    if bus == "up":
        return Finding("ok", "event bus", "heard")
    next_step = "Check that Redis runs and event_bus.url: until then statuses over it are held."
    return Finding("wrong", "event bus", f"{bus}: the registry is deaf to it", next_step)


def _scrape(registry: HttpEndpoint, path: str) -> tuple[Samples, float]:
    began = time.perf_counter()
    reply = registry.get(path)
    seconds = time.perf_counter() - began
    if not reply.good:
        raise NoAnswer(f"it answered {reply.status}")
    try:
        families = text_string_to_metric_families(reply.body.decode())
        return [(each.name, each.labels, each.value) for family in families for each in family.samples], seconds
    except ValueError as error:
        raise NoAnswer(f"it cannot be parsed ({error})") from None


def _scraped(samples: Samples, seconds: float, nodes: int) -> Finding:
    present = {name for name, _, _ in samples}
    missing = [name for name in (*OURS, *(OF_NODES if nodes else ())) if name not in present]
    if missing:
        told = f"{', '.join(missing)} missing"
        return Finding("wrong", "scrape", told, "Look at metrics.disabled_families: rules need these.")
    told = f"{count(len(present), 'name')}, {count(len(samples), 'sample')}, in {seconds:.3f} s"
    if seconds > SLOW_SCRAPE:
        return Finding("warning", "scrape", told, "That is near Prometheus' scrape_timeout of 10s.")
    return Finding("ok", "scrape", told)


def _hearing(samples: Samples) -> Iterator[Finding]:
    blind = [labels["transport"] for name, labels, value in samples if name == "aurora_registry_blind" and value]
    if blind:
        told = f"the registry is blind over {', '.join(blind)}: statuses over it are held"
        yield Finding("wrong", "hearing", told, "Check its store and its event bus.")
    else:
        yield Finding("ok", "hearing", "no transport is blind")
    if _value(samples, "aurora_registry_mesh_suspect"):
        told = "most of the mesh is silent together"
        yield Finding("warning", "mesh", told, "The registry's own network is the likeliest cause.")


def _reload(samples: Samples) -> Finding:
    if _value(samples, "aurora_registry_config_last_reload_successful") == 0:
        told = "the last one was refused, the configuration before is in force"
        return Finding("wrong", "reload", told, "`aurora-registry --config.file=... --config.check` says why.")
    return Finding("ok", "reload", "the last one succeeded")


def _round_trip(registry: HttpEndpoint, path: str, url: str, channel: str, before: Samples) -> Finding:
    check = "event bus, end to end"
    try:
        listeners = asyncio.run(_publish(url, channel))
    except Invalid as error:
        return Finding("wrong", check, str(error), "Correct --event-bus.")
    except NoAnswer as error:
        return Finding("wrong", check, str(error), "Check --event-bus and its Redis.")
    if not listeners:
        told = f"nobody listens on {channel}"
        return Finding("wrong", check, told, "Check event_bus.url and event_bus.channel of the registry.")
    try:
        after, _ = _scrape(registry, path)
    except NoAnswer as error:
        return Finding("wrong", check, f"no scrape after the event: {error}", "Try again.")
    rejected = (_value(after, REJECTED) or 0) - (_value(before, REJECTED) or 0)
    if rejected:
        told = f"{count(int(rejected), 'event')} rejected meanwhile"
        return Finding("warning", check, told, "The registry's log names the sender.")
    return Finding("ok", check, f"{count(listeners, 'listener')} on {channel} got an event, none was rejected")


async def _publish(url: str, channel: str) -> int:
    redis_url = parse_redis_url(url)
    client: Any = connect(redis_url)
    try:
        return int(await client.publish(channel, json.dumps(EVENT)))
    except REDIS_ERRORS as error:
        raise NoAnswer(explain(error, redis_url)) from None
    finally:
        await client.aclose()


def _value(samples: Samples, sample: str) -> float | None:
    values = [value for name, _, value in samples if name == sample]
    return sum(values) if values else None
