"""What all figures of the HTML report share: colours, type, and the way into the page.

Colours are from Okabe and Ito's palette, which people with colour-vision deficiencies can
tell apart (https://jfly.uni-koeln.de/color/): blue for right or kept, vermillion for wrong
or lost, greys for everything else.  Shapes and words repeat what colours say.
"""

from __future__ import annotations

import io
import re
import warnings
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GREY, PALE, BAND = "#1b1f24", "#6b7280", "#c9cdd3", "#e6e8eb"
BLUE, VERMILLION = "#0072B2", "#D55E00"
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "spiking-lmu",
    "font.size": 8.0,
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
}


def style() -> Any:
    """A context in which Matplotlib draws in the report's style."""
    from matplotlib import rc_context

    return rc_context(_STYLE)


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of its own, in inches, without pyplot's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    figure.patch.set_alpha(0)
    return figure, figure.add_subplot()


LONG_NUMBER = re.compile(r"scale\([^)]*\)|(\d+\.\d\d)\d+")


def _cut(found: re.Match[str]) -> str:
    return found[1] or found[0]


def to_svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an element that can stand beside others in one page."""
    file = io.StringIO()
    with warnings.catch_warnings():
        # The text stays text: the browser's fonts have glyphs that Matplotlib's may lack.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(file, format="svg")
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.S)
    # Coordinates, in points, are exact enough with two decimals.  What is read is left as it is,
    # and so is a scale: of an image, which hundreds of pixels multiply, and of a letter (1/64).
    text = re.sub(r"<(?!image)[^>]+>", lambda tag: LONG_NUMBER.sub(_cut, tag[0]), text)
    # Matplotlib uses the same ids in every figure.
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r'(xlink:href="|url\()#', rf"\1#{name}-", text)
    width, height = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)[0]
    opening = f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width} {height}">'
    text = opening + text[text.index(">") + 1 :]
    return text.replace("xlink:href", "href")


def as_file(element: str) -> str:
    """What `to_svg` gave, as the text of a file of its own."""
    return element.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
