"""All that stands between a node and the person on call, as shipped, on loopback ports of this machine.

    with Stack(speed=30) as stack:
        stack.registry_url, stack.redis_url, stack.prometheus_url, stack.alertmanager_url

A speed of 30 divides every duration of production by 30: thresholds, scrapes, the waits of rules and of routes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Self
from urllib.parse import urlencode

import redis

from demo import files
from demo.ports import HOST, free_port
from demo.process import Child, answers_http, clean_env, program
from demo.receiver import Notification, Receiver
from demo.servers import newest
from exporter.client.http import fetch
from exporter.domain.clock import MINUTE

USUAL_PORTS = {"registry": 9999, "prometheus": 9090, "alertmanager": 9093}
PROGRAMS = ("redis-server", "prometheus", "prometheus-alertmanager", "setpriv")
FASTEST = 100.0
"""Production's shortest times would be shorter than what the registry and Prometheus keep to."""


class Stack:
    """Redis, the registry, Alertmanager and Prometheus; everything listens on 127.0.0.1. Use it as a context.

    Entering raises ChildFailed where a server does not come up. Leaving ends all, and removes the directory if it was
    not given.
    """

    def __init__(
        self,
        *,
        speed: float = 6,
        directory: Path | None = None,
        usual_ports: bool = False,
        on_notification: Callable[[Notification], None] = lambda _: None,
        started: Callable[[str, str], None] = lambda _, __: None,
    ) -> None:
        """`on_notification` gets each notification, in its own thread; `started` each server's name and address.

        With `usual_ports` the registry, Prometheus and Alertmanager take the ports that people know where they are
        free. `directory` must be empty or new: it gets configuration, logs and data.
        """
        if not 1 <= speed <= FASTEST:
            raise ValueError(f"speed: expected 1 (production's own time) to {FASTEST:g}, got {speed:g}")
        self.times = files.Times(speed)
        self.ports = {name: free_port(port if usual_ports else None) for name, port in USUAL_PORTS.items()}
        self.redis_port = free_port()
        self.redis_url = f"redis://{HOST}:{self.redis_port}/0"
        self.registry_url, self.prometheus_url, self.alertmanager_url = (
            f"http://{HOST}:{self.ports[name]}" for name in ("registry", "prometheus", "alertmanager")
        )
        self._given = directory
        self.directory = Path()
        """Where everything is written; set on entering."""
        self.children: list[Child] = []
        """In the order of their start."""
        self._on_notification = on_notification
        self._started = started
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            self.directory = (self._given or Path(mkdtemp(prefix="aurora-demo-"))).resolve()
            if self._given is None:
                opened.callback(shutil.rmtree, self.directory)
            self.directory.mkdir(parents=True, exist_ok=True)
            receiver = opened.enter_context(Receiver(self._on_notification))
            opened.callback(self._end)
            self._write(receiver.url)
            self._start_all()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def start(self, child: Child, answers: Callable[[], bool] | None = None) -> None:
        """Start one more child, which ends first when all ends; raises ChildFailed as that does."""
        self.children.append(child)
        child.start(answers)

    def check(self) -> None:
        """Raise ChildFailed if a server has ended."""
        for child in self.children:
            child.check()

    def query(self, expression: str) -> list[Any]:
        """Prometheus' instant vector now, as its HTTP API has it."""
        answer = fetch(f"{self.prometheus_url}/api/v1/query?{urlencode({'query': expression})}")
        result: list[Any] = json.loads(answer.body)["data"]["result"]
        return result

    def _end(self) -> None:
        for child in reversed(self.children):
            child.end()

    def _write(self, receiver: str) -> None:
        here, times = self.directory, self.times
        files.write_registry(here / "registry.yml", times, prometheus=self.prometheus_url)
        files.write_alertmanager(here / "alertmanager.yml", times, receiver=receiver)
        files.write_prometheus(
            here / "prometheus.yml", times, registry=self._host("registry"), alertmanager=self._host("alertmanager")
        )

    def _start_all(self) -> None:
        for child, address, answers in (
            (self._redis(), f"{HOST}:{self.redis_port}", self._redis_answers),
            (self._registry(), self.registry_url, lambda: answers_http(f"{self.registry_url}/-/ready")),
            (self._alertmanager(), self.alertmanager_url, lambda: answers_http(f"{self.alertmanager_url}/-/ready")),
            (self._prometheus(), self.prometheus_url, lambda: answers_http(f"{self.prometheus_url}/-/ready")),
        ):
            self.start(child, answers)
            self._started(child.name, address)
        self._begin_with_rules(child)

    def _begin_with_rules(self, prometheus: Child) -> None:
        """Prometheus takes seconds to begin with its scrapes, which are minutes to quick rules: they come after."""
        prometheus.await_that(lambda: bool(self.query("up == 1")))
        files.write_rules(self.directory / files.RULES, self.times)
        prometheus.reload()
        prometheus.await_that(lambda: bool(self.query('ALERTS{alertname="AuroraWatchdog"}')))

    def _redis(self) -> Child:
        command = ["redis-server", "--port", str(self.redis_port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        return Child("redis", command, self.directory)

    def _redis_answers(self) -> bool:
        try:
            with redis.Redis(port=self.redis_port, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _registry(self) -> Child:
        command = [
            *program("registry"),
            "--config.file=registry.yml",
            f"--web.listen-address={self._host('registry')}",
            f"--store={self.redis_url}",
            f"--event-bus={self.redis_url}",
        ]
        return Child("registry", command, self.directory, environment=clean_env())

    def _alertmanager(self) -> Child:
        command = [
            newest("prometheus-alertmanager"),
            "--config.file=alertmanager.yml",
            "--storage.path=alertmanager-data",
            f"--web.listen-address={self._host('alertmanager')}",
            f"--web.external-url={self.alertmanager_url}",
            "--cluster.listen-address=",  # one alone need not wait for others
        ]
        return Child("alertmanager", command, self.directory)

    def _prometheus(self) -> Child:
        command = [
            newest("prometheus"),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=prometheus-data",
            f"--web.listen-address={self._host('prometheus')}",
            f"--web.external-url={self.prometheus_url}",
            # Prometheus' own defaults of minutes, in the demo's time.
            f"--query.lookback-delta={self.times.of(5 * MINUTE)}",
            f"--rules.alert.resend-delay={self.times.of(MINUTE)}",
        ]
        return Child("prometheus", command, self.directory)

    def _host(self, name: str) -> str:
        return f"{HOST}:{self.ports[name]}"
