"""JSON as people and version control like it: objects over several lines, numbers on one."""

from __future__ import annotations

import json
from typing import Any

#: Longest text, in characters, that shares its line with others.
SHORT = 40


def json_text(value: Any, indent: str = "") -> str:
    """Strict JSON; an array of numbers or short texts stands on one line.

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
        return _block("[", [json_text(part, indent + " ") for part in value], "]", indent)
    return _scalar(value)


def _long(part: Any) -> bool:
    return isinstance(part, dict | list | tuple) or (isinstance(part, str) and len(part) > SHORT)


def _scalar(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _block(begin: str, parts: list[str], end: str, indent: str) -> str:
    inside = ",\n".join(f"{indent} {part}" for part in parts)
    return f"{begin}\n{inside}\n{indent}{end}"
