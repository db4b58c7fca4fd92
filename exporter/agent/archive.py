"""The agent as one file, aurora-agent.pyz: built from what is installed, the same bytes for the same sources."""

from __future__ import annotations

import importlib.util
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

SHEBANG = b"#!/usr/bin/env python3\n"
NAME = "aurora-agent.pyz"
_ROOT = Path(__file__).resolve().parents[1]
_ENTRY = "import sys\nfrom exporter.agent import main\nsys.exit(main())\n"
_BESIDE = (
    "__init__.py",
    *(f"domain/{name}.py" for name in ("__init__", "backoff", "eventnames", "requestoutcome", "signing")),
    *(f"process/{name}.py" for name in ("__init__", "streams")),
)
"""What it needs of the package exporter beside its own room."""
_ERROR = re.compile(r"^NVML_ERROR_\w+", re.MULTILINE)
_EPOCH = (1980, 1, 1, 0, 0, 0)


def build() -> bytes:
    """The file's bytes. Raises FileNotFoundError where the sources do not lie in a directory, as in a zipapp."""
    contents: dict[str, bytes] = {"__main__.py": _ENTRY.encode()}
    for path in [*(_ROOT / name for name in _BESIDE), *_files(_ROOT / "agent")]:
        if path.is_file():
            contents[f"exporter/{path.relative_to(_ROOT).as_posix()}"] = path.read_bytes()
    if "exporter/agent/__init__.py" not in contents:
        raise FileNotFoundError(f"the agent's sources are not in {_ROOT}")
    binding = importlib.util.find_spec("pynvml")
    if binding is not None and binding.origin is not None and Path(binding.origin).name == "pynvml.py":
        contents["pynvml.py"] = _part_of(Path(binding.origin).read_text(encoding="utf-8"), contents)
    archive = io.BytesIO()
    archive.write(SHEBANG)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            file.writestr(entry, contents[name])
    return archive.getvalue()


def _part_of(binding: str, contents: Mapping[str, bytes]) -> bytes:
    """What the agent uses of NVIDIA's binding, which makes all its errors itself."""
    from exporter.agent.excerpt import excerpt, identifiers  # noqa: PLC0415 - heavy, and not needed within the file

    wanted = set(_ERROR.findall(binding))
    for name, source in contents.items():
        if name.endswith(".py"):
            wanted.update(identifiers(source.decode()))
    return excerpt(binding, wanted).encode()


def _files(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.suffix in {".py", ".json"}]
