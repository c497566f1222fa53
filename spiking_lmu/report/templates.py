"""The page's templates."""

from __future__ import annotations

from importlib import resources
from typing import Any

from . import text, words

#: Functions that templates use as filters, by their names.
FILTERS = (
    *(text.count, text.duration, text.speed, text.value),
    *(words.difference, words.late, words.p_value),
    *(words.sentence, words.stopping, words.verification),
)


def render(name: str, **values: Any) -> str:
    """A template beside this module, filled in; every value that is not Markup is escaped."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    folder = resources.files(__package__)
    template = folder.joinpath(name).read_text("utf-8")
    # The package's own; nothing of a user's is in it.
    values["style"] = Markup(folder.joinpath("style.css").read_text("utf-8"))
    return environment.from_string(template).render(**values)
