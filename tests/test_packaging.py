from __future__ import annotations

import configparser
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import exporter

ROOT = Path(__file__).parents[1]
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

pytestmark = pytest.mark.servers
"""No servers, but builds and installations: what `make check` has no time for."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as it is released but with the build backend that is installed."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    [path] = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment's `bin`, with the wheel installed beside the dependencies of the one that runs the tests."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    [packages] = home.glob("lib/python*/site-packages")
    [ours] = {path for path in sys.path if path.endswith("site-packages") and Path(path).is_relative_to(sys.prefix)}
    packages.joinpath("dependencies.pth").write_text(f"{ours}\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    command += ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--ignore-installed", str(wheel)]
    subprocess.run(command, capture_output=True, text=True, check=True)
    return home / "bin"


def test_the_wheel_carries_rules_dashboards_and_the_configuration(wheel):
    """What lies beside the package in a checkout lies inside it once installed, byte for byte."""
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.read(name) for name in archive.namelist() if name.startswith("exporter/data/")}

    beside = {
        f"exporter/data/{path.relative_to(ROOT)}": path.read_bytes()
        for directory in ("alerts", "grafana/dashboards", "grafana/provisioning")
        for path in (ROOT / directory).rglob("*")
        if path.is_file()
    }
    assert inside == {**beside, "exporter/data/config.yaml": (ROOT / "config.yaml").read_bytes()}
    for directory in ("alerts", "grafana/dashboards", "grafana/provisioning"):
        assert any(name.startswith(f"exporter/data/{directory}/") for name in inside)


def test_the_wheel_carries_every_module_and_the_mark_of_its_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "exporter").rglob("*.py")}
    assert modules | {"exporter/py.typed"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_the_wheel_declares_its_programs_and_its_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        [entry_points] = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(entry_points).decode())
        assert [name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")]

    scripts = dict(parser["console_scripts"])
    assert {"aurora-registry", "aurora-cli", "aurora-agent", "aurora-simulator"} <= set(scripts)


@pytest.mark.parametrize("program", ["aurora-registry", "aurora-cli", "aurora-agent", "aurora-simulator"])
def test_an_installed_program_prints_its_version(installed, program, tmp_path):
    """Run far from the checkout, so that nothing but the wheel can answer."""
    answer = subprocess.run(
        [installed / program, "--version"], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
    )

    assert (answer.returncode, answer.stderr) == (0, "")
    assert exporter.__version__ in answer.stdout


def test_constraints_are_plain_pins_in_order():
    pins = [line for line in CONSTRAINTS if not line.startswith("#")]

    assert all(line.count("==") == 1 and " " not in line and ";" not in line for line in pins)
    assert pins == sorted(pins, key=str.lower)
