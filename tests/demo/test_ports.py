"""Ports of the loopback interface: programs that start servers side by side never get the same one."""

from __future__ import annotations

import socket
import subprocess
import sys

from demo.ports import free_port, is_free

OTHER = "from demo.ports import free_port\nprint(*(free_port() for _ in range(50)), flush=True)\ninput()"


def test_a_usual_port_that_is_taken_is_left_alone() -> None:
    """Somebody's own server goes on, and we take another port."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        taken = somebody.getsockname()[1]
        assert not is_free(taken)
        assert free_port(taken) != taken
    assert free_port(taken) == taken


def test_two_processes_get_no_port_twice_while_both_live() -> None:
    """Also before anybody listens: a server takes a while to start, and a killed one comes back to its port."""
    command = [sys.executable, "-c", OTHER]
    with (
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as one,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other,
    ):
        assert one.stdout is not None
        assert other.stdout is not None
        ports = [*one.stdout.readline().split(), *other.stdout.readline().split()]
        ports += [str(free_port()) for _ in range(50)]
        one.communicate("\n")
        other.communicate("\n")
    assert len(ports) == len(set(ports)) == 3 * 50


def test_a_port_comes_again_only_after_all_others() -> None:
    first = free_port()
    assert first not in {free_port() for _ in range(50)}
