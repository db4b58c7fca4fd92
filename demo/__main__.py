"""`python -m demo`: start all, show what happens, end all."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from demo import welcome
from demo.process import Child, ChildFailed, clean_env, program
from demo.servers import newest
from demo.stack import FASTEST, PROGRAMS, Stack
from demo.timeline import Timeline
from demo.watch import Watch
from exporter.domain.clock import SECOND
from exporter.domain.config import Config
from exporter.domain.duration import format_duration, parse_duration

INCIDENTS = Path(__file__).with_name("incidents.yaml")
_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody wants the demo to end; no Exception, so that nothing on the way takes it for a failure."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when it ends as it was asked to, 1 where a server fails or something is missing."""
    arguments = _arguments(argv)
    missing = [name for name in PROGRAMS if shutil.which(newest(name)) is None]
    if missing:
        print(f"demo: {', '.join(missing)} is not on the PATH; `make demo` installs it on Debian", file=sys.stderr)
        return 1
    for number in _ENDS:
        signal.signal(number, _stop)
    try:
        _play(arguments)
    except Stopped:
        pass
    except BrokenPipeError:
        # The reader of our output has gone. Nothing more is printed, also not by the interpreter at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ChildFailed as failure:
        print(f"\ndemo: {failure}", file=sys.stderr)
        print("All else is ended. For whole logs start again with --keep DIRECTORY.", file=sys.stderr)
        return 1
    print("\nAll has ended; no process is left." + ("" if arguments.keep else " The files are removed."))
    return 0


def _play(arguments: argparse.Namespace) -> None:
    watch = Watch(Timeline())
    stack = Stack(
        speed=arguments.speed,
        directory=arguments.keep,
        usual_ports=True,
        on_notification=watch.on_notification,
        started=lambda name, address: print(f"  {name:<13} {address}", flush=True),
    )
    print("Aurora Node Registry: a mesh to look at\n")
    print(welcome.speed_text(stack.times) + "\n")
    print(f"Starting, all on 127.0.0.1 only:\n{welcome.port_text(stack)}", end="", flush=True)
    with stack:
        print(f"  {'simulator':<13} {arguments.nodes} nodes in {arguments.sites} sites\n")
        print(welcome.where_text(stack, kept=arguments.keep is not None), flush=True)
        simulator = _simulator(stack, arguments)
        stack.start(simulator)
        watch.listen(simulator)
        watch.run(stack, arguments.duration and arguments.duration / SECOND)


def _simulator(stack: Stack, arguments: argparse.Namespace) -> Child:
    command = [
        *program("simulator"),
        f"--registry={stack.registry_url}",
        f"--event-bus={stack.redis_url}",
        "--transport=both",
        f"--nodes={arguments.nodes}",
        f"--sites={arguments.sites}",
        f"--heartbeat-interval={format_duration(Config().thresholds.heartbeat_interval)}",
        f"--incidents={arguments.incidents.resolve()}",
        f"--speed={arguments.speed:g}",
        f"--seed={arguments.seed}",
    ]
    return Child("simulator", command, stack.directory, environment=clean_env(), piped=True)


def _stop(*_: object) -> None:
    # The first is enough: all ends within seconds, and a second one must not leave anything behind.
    for number in _ENDS:
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo",
        description="Redis, registry, Prometheus, Alertmanager and a simulated mesh, on this machine only.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--speed", type=_speed, default=6.0, metavar="N", help="how many times as fast as production")
    parser.add_argument("--duration", type=_duration, metavar="TIME", help="end after so long, such as 10m")
    parser.add_argument("--keep", type=_directory, metavar="DIRECTORY", help="write here, and leave it")
    parser.add_argument("--nodes", type=int, default=40, metavar="N", help="how many nodes the mesh has")
    parser.add_argument("--sites", type=int, default=3, metavar="N", help="at how many sites")
    parser.add_argument("--incidents", type=Path, default=INCIDENTS, metavar="FILE", help="what happens to them")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="another one makes another mesh")
    return parser.parse_args(argv)


def _speed(text: str) -> float:
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 1 <= speed <= FASTEST:
        raise argparse.ArgumentTypeError(f"expected 1 (production's own time) to {FASTEST:g}, got {text}")
    return speed


def _duration(text: str) -> int:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _directory(text: str) -> Path:
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise argparse.ArgumentTypeError(f"{text} is there and not an empty directory: name another")
    return path


if __name__ == "__main__":
    sys.exit(main())
