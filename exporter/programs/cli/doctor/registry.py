"""The registry's part of the way: it answers, stores, receives, and can be scraped."""

from __future__ import annotations

import time
from collections.abc import Iterator

from exporter.domain.errors import Invalid
from exporter.programs.cli.doctor.endpoint import Finding, HttpEndpoint, UnusableAnswer
from exporter.programs.cli.doctor.samples import Sample, parse_samples, total
from exporter.programs.cli.humanize import count, duration

SLOW_SCRAPE = 5.0
"""Seconds; Prometheus gives a scrape ten by default."""
OURS = ("aurora_registry_build_info", "aurora_registry_store_up")
OF_NODES = ("aurora_mesh_nodes", "aurora_node_info", "aurora_node_status", "aurora_node_last_seen_age_seconds")
BLIND = "aurora_registry_blind"
REJECTED = "aurora_registry_events_rejected_total"


def check_registry(registry: HttpEndpoint, metrics_path: str) -> Iterator[Finding]:
    """All that can be known of it from outside; the first finding alone where it does not answer."""
    try:
        health = registry.document("/health")
        nodes, version, store, bus = health["nodes"], health["version"], health["store"], health["event_bus"]
        uptime = duration(health["uptime_seconds"])
    except UnusableAnswer as error:
        text = f"{registry.where} does not answer as one: {error}"
        yield Finding("wrong", "registry", text, "Start aurora-registry, or name another with --registry.")
        return
    except (KeyError, TypeError, ValueError):
        text = f"what answers at {registry.where} is no registry"
        yield Finding("wrong", "registry", text, "Check the address given with --registry.")
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
    except UnusableAnswer as error:
        text = f"{registry.where}{metrics_path}: {error}"
        yield Finding("wrong", "scrape", text, "If web.telemetry_path is another, name it with --metrics-path.")
        return
    yield _scraped(samples, seconds, nodes)
    yield from _reception(samples)
    yield _reload(samples)


def _ready(registry: HttpEndpoint) -> Finding:
    try:
        reply = registry.get("/-/ready")
    except UnusableAnswer as error:
        return Finding("wrong", "ready", str(error), "Try again in a moment.")
    if reply.ok:
        return Finding("ok", "ready", "its node map is loaded")
    return Finding("wrong", "ready", f"it answered {reply.status}: it loads or stops", "Look at the store, then again.")


def _bus(bus: str) -> Finding:
    if bus == "none":
        return Finding("ok", "event bus", "none is configured: heartbeats come over HTTP only")
    if bus == "up":
        return Finding("ok", "event bus", "up")
    next_step = "Check that Redis runs and event_bus.url: until then statuses over it are frozen."
    return Finding("wrong", "event bus", f"{bus}: the registry receives nothing from it", next_step)


def _scrape(registry: HttpEndpoint, path: str) -> tuple[list[Sample], float]:
    began = time.perf_counter()
    reply = registry.get(path)
    seconds = time.perf_counter() - began
    if not reply.ok:
        raise UnusableAnswer(f"it answered {reply.status}")
    try:
        return parse_samples(reply.body.decode()), seconds
    except ValueError as error:
        raise UnusableAnswer(f"it cannot be parsed ({error})") from None


def _scraped(samples: list[Sample], seconds: float, nodes: int) -> Finding:
    present = {sample.name for sample in samples}
    missing = [name for name in (*OURS, *(OF_NODES if nodes else ())) if name not in present]
    if missing:
        text = f"{', '.join(missing)} missing"
        return Finding("wrong", "scrape", text, "Look at metrics.disabled_families: rules need these.")
    text = f"{count(len(present), 'name')}, {count(len(samples), 'sample')}, in {seconds:.3f} s"
    if seconds > SLOW_SCRAPE:
        return Finding("warning", "scrape", text, "That is near Prometheus' scrape_timeout of 10s.")
    return Finding("ok", "scrape", text)


def _reception(samples: list[Sample]) -> Iterator[Finding]:
    blind = [sample.labels["transport"] for sample in samples if sample.name == BLIND and sample.value]
    if blind:
        text = f"the registry receives nothing over {', '.join(blind)}: statuses over it are frozen"
        yield Finding("wrong", "reception", text, "Check its store and its event bus.")
    else:
        yield Finding("ok", "reception", "every transport is received")
    if total(samples, "aurora_registry_mesh_suspect"):
        text = "most of the mesh misses its heartbeats at once"
        yield Finding("warning", "mesh", text, "The registry's own network is the likeliest cause.")


def _reload(samples: list[Sample]) -> Finding:
    if total(samples, "aurora_registry_config_last_reload_successful") == 0:
        text = "the last one was refused, the configuration before is in force"
        return Finding("wrong", "reload", text, "`aurora-registry --config.file=... --config.check` says why.")
    return Finding("ok", "reload", "the last one succeeded")


def check_bus(registry: HttpEndpoint, path: str, url: str, channel: str) -> Finding:
    """An event that nobody needs takes the way of heartbeats: somebody listens, and nothing is rejected."""
    check = "event bus, end to end"
    try:
        from exporter.programs.cli.doctor.bus import publish  # noqa: PLC0415 - needs the Redis client
    except ImportError:
        text = "the Redis client is not installed"
        return Finding("not checked", check, text, "Install it: pip install 'aurora-node-registry[registry]'")
    try:
        before, _ = _scrape(registry, path)
        listeners = publish(url, channel)
        after, _ = _scrape(registry, path)
    except Invalid as error:
        return Finding("wrong", check, str(error), "Correct --event-bus.")
    except UnusableAnswer as error:
        return Finding("wrong", check, str(error), "Check --event-bus and its Redis, and the registry.")
    if not listeners:
        text = f"nobody listens on {channel}"
        return Finding("wrong", check, text, "Check event_bus.url and event_bus.channel of the registry.")
    rejected = (total(after, REJECTED) or 0) - (total(before, REJECTED) or 0)
    if rejected:
        text = f"{count(int(rejected), 'event')} rejected meanwhile"
        return Finding("warning", check, text, "The registry's log names the sender.")
    return Finding("ok", check, f"{count(listeners, 'listener')} on {channel} got an event, none was rejected")
