"""A wheel, built and installed by the Dockerfile's own steps."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.image_rules import ROOT, from_context, instructions


def site_packages() -> str:
    """Where the environment that runs the tests keeps its packages."""
    [ours] = {path for path in sys.path if path.endswith("site-packages") and Path(path).is_relative_to(sys.prefix)}
    return ours


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    """A directory with `wheel/` and `opt/aurora/`, as the build stage leaves them; dependencies are the tests' own."""
    scratch = tmp_path_factory.mktemp("image")
    context = scratch / "src"
    for source in from_context():
        target = context / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / source, target)
    _tools, build, install = [value for name, value in instructions() if name == "RUN"][:3]
    for step in (build, install.replace(" install ", " install --no-deps --no-index --ignore-installed ")):
        here = step.replace("/build/bin/python", sys.executable)
        here = here.replace("/wheel", f"{scratch}/wheel").replace("/opt/aurora", f"{scratch}/opt/aurora")
        here = here.replace("python -m venv", f"{sys.executable} -m venv")
        subprocess.run(["sh", "-ec", here], cwd=context, capture_output=True, text=True, check=True, timeout=100)
    [packages] = scratch.glob("opt/aurora/lib/python*/site-packages")
    packages.joinpath("dependencies.pth").write_text(f"{site_packages()}\n")
    return scratch
