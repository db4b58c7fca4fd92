"""From parsed arguments to lines on stdout, and from failures to one message and an exit status."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable
from importlib import import_module

from exporter.client.errors import ClientError
from exporter.programs.cli.context import Context
from exporter.programs.cli.failures import Failure, failure_of
from exporter.programs.cli.terminal import be_tolerant

Handler = Callable[[Context], int | None]


def run(arguments: Namespace) -> int:
    """Do what was asked; the exit status."""
    be_tolerant(sys.stdout, sys.stderr)
    context = Context(arguments)
    try:
        status = handler(arguments.handler)(context)
        sys.stdout.flush()
    except Failure as known:
        context.complain(str(known))
        return known.exit_status
    except ClientError as error:
        failed = failure_of(error)
        context.complain(str(failed))
        return failed.exit_status
    except BrokenPipeError:
        # The reader has seen enough. What is still buffered would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        context.complain(f"cannot write the output: {error.strerror or error}")
        return 1
    else:
        return status or 0
    finally:
        context.close()
    return 0


def handler(name: str) -> Handler:
    """The function that does a command (`module:function`)."""
    module, _, function = name.partition(":")
    found: Handler = getattr(import_module(f"exporter.programs.cli.{module}"), function)
    return found
