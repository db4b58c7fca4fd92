"""prometheus-client with the series of an exposition: `python -m benchmarks.peers.prometheus_client_app PORT FILE`."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, start_http_server

from exporter.programs.cli.doctor.samples import Sample, parse_samples


def main() -> None:
    """Hold every sample as a labelled gauge, and serve them as prometheus-client does."""
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for sample in parse_samples(Path(sys.argv[2]).read_text()):
        gauge = gauges.get(sample.name)
        if gauge is None:
            gauge = gauges[sample.name] = _gauge(sample, registry)
        (gauge.labels(*sample.labels.values()) if sample.labels else gauge).set(sample.value)
    start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
    threading.Event().wait()


def _gauge(sample: Sample, registry: CollectorRegistry) -> Gauge:
    return Gauge(sample.name, "The same series.", tuple(sample.labels), registry=registry)


if __name__ == "__main__":
    main()
