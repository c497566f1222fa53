"""JSON as people and version control like it: objects over several lines, numbers on one."""

from __future__ import annotations

import json
from typing import Any

#: Longest text, in characters, that shares its line with others.
SHORT = 40


def json_text(value: Any, indent: str = "") -> str:
    """Strict JSON; an array of numbers or short texts stands on one line, and of an array of
    arrays of numbers (samples, …) each sample.

    Raises
    ------
    ValueError
        NaN or infinity.

    >>> print(json_text({"name": "a", "counts": [1, 2, 3], "empty": {}}))
    {
     "name": "a",
     "counts": [1,2,3],
     "empty": {}
    }
    """
    if isinstance(value, dict) and value:
        parts = [f"{_scalar(str(key))}: {json_text(value[key], indent + ' ')}" for key in value]
        return _block("{", parts, "}", indent)
    if isinstance(value, list | tuple) and any(map(_long, value)):
        return _block("[", [_row(part, indent + " ") for part in value], "]", indent)
    return _scalar(value)


def _row(part: Any, indent: str) -> str:
    return _scalar(part) if _numbers(part) else json_text(part, indent)


def _numbers(part: Any) -> bool:
    """Whether a value is an array of numbers, however deep, or one of them."""
    if isinstance(part, list | tuple):
        return all(map(_numbers, part))
    return part is None or isinstance(part, int | float)


def _long(part: Any) -> bool:
    return isinstance(part, dict | list | tuple) or (isinstance(part, str) and len(part) > SHORT)


def _scalar(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _block(begin: str, parts: list[str], end: str, indent: str) -> str:
    inside = ",\n".join(f"{indent} {part}" for part in parts)
    return f"{begin}\n{inside}\n{indent}{end}"
