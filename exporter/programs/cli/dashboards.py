"""`aurora-cli dashboards`: Grafana's files, as the package carries them."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import exporter
from exporter.programs.cli.failures import Failure
from exporter.programs.cli.writing import write_all

_PACKAGE = Path(exporter.__file__).parent
PLACES = (_PACKAGE / "data" / "grafana", _PACKAGE.parent / "grafana")
"""Inside the package once it is installed, beside it in a checkout."""
KINDS = ("dashboards/*.json", "provisioning/*/*.yml")


def write_dashboards(arguments: Namespace) -> Iterator[str]:
    """Write every dashboard and the provisioning for them, or nothing; the paths of what was written.

    Raises Failure where a file that is there already would be lost, or the package is not whole.
    """
    for endpoint in PLACES:
        paths = sorted(path for kind in KINDS for path in endpoint.glob(kind))
        if paths:
            texts = {str(path.relative_to(endpoint)): path.read_text(encoding="utf-8") for path in paths}
            yield from write_all(arguments.output, texts, force=arguments.force)
            return
    raise Failure("this installation carries no dashboards: install aurora-node-registry again")
