"""A YAML file, read strictly: by the safe loader, and without keys that stand twice."""

from __future__ import annotations

from typing import Any

import yaml

from exporter.configuration.faults import shown_key
from exporter.domain.errors import Fault, Invalid, join


def read_yaml(text: str) -> Any:
    """What the YAML text says; None for an empty one.

    Raises Invalid for what is no YAML (with line and column) and for every key that stands twice in one mapping. The
    text itself is not repeated: it may hold a password.
    """
    try:
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        if faults := _duplicates(root, "", set()):
            raise Invalid(faults)
        return loader.construct_document(root)
    except yaml.MarkedYAMLError as error:
        raise Invalid.of("", _where(error)) from None
    except yaml.YAMLError as error:
        raise Invalid.of("", f"not YAML: {str(error).splitlines()[0]}") from None
    except ValueError:
        # Of PyYAML's own making: 2024-99-99 is a date to it.
        raise Invalid.of("", "a value looks like a date or a number and is none: put it in quotes") from None
    except RecursionError:
        raise Invalid.of("", "not YAML that we can read: nested too deep") from None


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
