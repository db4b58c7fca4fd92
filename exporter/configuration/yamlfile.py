"""A YAML file, read strictly: by the safe loader, without keys that stand twice, and within bounds."""

from __future__ import annotations

from typing import Any

import yaml

from exporter.configuration.faults import shown_key
from exporter.configuration.inputfile import read_file
from exporter.domain.errors import Fault, Invalid, join

MAX_BYTES = 2**22
MAX_TEXT = 2**16
"""YAML takes `1:1:1` for a number, whose digits cost more and more."""
MAX_VALUES = 100_000
"""With each alias counted as all that it stands for: ten of them, one in the other, make a thousand million."""


def read_yaml_file(path: str) -> Any:
    """What the file says, as `read_yaml` has it. Raises Invalid."""
    content = read_file(path, MAX_BYTES)
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise Invalid.of("", f"{path} is not UTF-8 (byte {error.start})") from None
    return read_yaml(text)


def read_yaml(text: str) -> Any:
    """What the YAML text says; None for an empty one.

    Raises Invalid for what is no YAML (with line and column), for every key that stands twice in one mapping, and for
    aliases that stand for too much. The text itself is not repeated: it may hold a password.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        if _count(root, {}) > MAX_VALUES:
            raise Invalid.of("", f"expected at most {MAX_VALUES} values, with each alias counted as what it stands for")
        if faults := _duplicates(root, "", set()):
            raise Invalid(faults)
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise Invalid.of("", _where(error)) from None
    except yaml.YAMLError as error:
        raise Invalid.of("", f"not YAML: {str(error).splitlines()[0]}") from None
    except ValueError:
        # Of PyYAML's own making: 2024-99-99 is a date to it.
        raise Invalid.of("", "a value looks like a date or a number but is not one: put it in quotes") from None
    except RecursionError:
        raise Invalid.of("", "not YAML that we can read: nested too deep") from None


def _count(node: yaml.Node, counts: dict[int, int]) -> int:
    """The values within; of one that is within itself, more than there may be."""
    if isinstance(node, yaml.ScalarNode) and len(node.value) > MAX_TEXT:
        raise Invalid.of("", f"expected texts of at most {MAX_TEXT} characters, got one of {len(node.value)}")
    if id(node) not in counts:
        counts[id(node)] = MAX_VALUES + 1
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        flat = (part for child in children for part in (child if isinstance(child, tuple) else (child,)))
        counts[id(node)] = 1 + sum(_count(child, counts) for child in flat)
    return counts[id(node)]


def _duplicates(node: yaml.Node, path: str, seen: set[int]) -> list[Fault]:
    faults: list[Fault] = []
    if id(node) in seen:  # an alias of what was looked at
        return faults
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            field = join(path, shown_key(name))
            if name in lines:
                where = f"in lines {lines[name]} and {line}" if line != lines[name] else f"in line {line}"
                faults.append(Fault(field, f"stands twice {where}: keep one of them"))
            lines[name] = line
            faults += _duplicates(value, field, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            faults += _duplicates(item, f"{path}[{index}]", seen)
    return faults


def _where(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"not YAML{place}: {error.problem or error.context}; a value with special characters stands in quotes"
