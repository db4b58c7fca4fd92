"""What a command works with."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from exporter import __version__
from exporter.client.client import Client
from exporter.client.credentials import Credentials
from exporter.domain.clock import SECOND
from exporter.domain.errors import Invalid
from exporter.programs.cli.commands.command import FILTERS
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.terminal import Terminal, terminal_of
from exporter.programs.cli.wrap import message


class Context:
    """The arguments, the registry that they name, and the outputs."""

    def __init__(self, arguments: Namespace) -> None:
        self.arguments = arguments

    @property
    def terminal(self) -> Terminal:
        """Stdout's, as wide as it is now."""
        return terminal_of(sys.stdout)

    @cached_property
    def credentials(self) -> Credentials:
        """Those that options or the environment name; Failure where they cannot be used."""
        files = {name: getattr(self.arguments, name) for name in ("token_file", "ca_file", "cert_file", "key_file")}
        try:
            return Credentials.read(os.environ, **files)
        except Invalid as error:
            raise Failure(f"{error}", exit_status=2) from None

    @cached_property
    def client(self) -> Client:
        """The registry."""
        try:
            return Client(
                self.arguments.registry,
                credentials=self.credentials,
                timeout_seconds=self.arguments.timeout_ns / SECOND,
                user_agent=f"aurora-cli/{__version__}",
            )
        except Invalid as error:
            raise Failure(f"{error}", exit_status=2) from None

    def close(self) -> None:
        """Close the connection, where there is one."""
        if "client" in self.__dict__:
            self.client.close()

    def filters(self) -> dict[str, Any]:
        """The filters that were given, as query parameters."""
        found = {name: getattr(self.arguments, name, None) for name in FILTERS}
        return {name: value for name, value in found.items() if value is not None}

    def show(self, lines: Iterable[str]) -> None:
        """Print them."""
        for line in lines:
            print(line)

    def show_json(self, document: Any) -> None:
        """Print it for programs: indented, and harmless on a terminal."""
        self.show(pretty(document))

    def complain(self, text: str) -> None:
        """Say something beside the output."""
        for line in message(f"aurora-cli: {text}", terminal_of(sys.stderr)):
            print(line, file=sys.stderr)


def pretty(document: Any) -> Iterator[str]:
    """The document as indented JSON without a character that a terminal might obey."""
    # Within texts only: outside of them JSON has nothing that is not printable but the line breaks, which end here.
    for line in json.dumps(document, ensure_ascii=False, indent=2).split("\n"):
        yield harmless(line)


def harmless(line: str) -> str:
    """A line of JSON that means the same, with escapes for what is not printable."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
