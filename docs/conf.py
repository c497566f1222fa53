"""Sphinx configuration of the documentation site; ``scripts/docs`` builds it."""

import hashlib
from pathlib import Path
from typing import Any

from spiking_lmu import __version__

ROOT = Path(__file__).resolve().parents[1]

project = "spiking-lmu"
author = "the spiking-lmu authors"
copyright = f"2026, {author}"  # the name Sphinx asks for
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinxarg.ext",
]
exclude_patterns = ["_build", "results", "**/.ipynb_checkpoints"]

smartquotes_action = "qe"  # quotes and ellipses; two dashes are an option, not a dash

html_theme = "furo"
pygments_dark_style = "github-dark"  # the theme's own underlines what is imported, as if linked
html_title = "spiking-lmu"
html_theme_options = {"navigation_with_keys": True}
html_static_path = ["_static"]
html_css_files = ["site.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3


def sources() -> str:
    """A digest of the package: what a notebook printed is kept for as long as it stays the same."""
    digest = hashlib.sha256()
    for folder in ("spiking_lmu", "targets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


# Tutorials are notebooks in MyST Markdown; a cell that fails stops the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs/_build/notebooks" / sources())
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # what it writes is no part of the site
nb_execution_timeout = 600  # seconds a cell, on a busy machine
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
# Parameters and Raises are read as fields; types stand in the signature.
napoleon_use_rtype = False
napoleon_preprocess_types = False


def examples(app: Any, kind: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Give the doctest at the end of a docstring a heading, or it is read as one of the errors."""
    headed = any(set(line) == {"-"} for line in lines)
    if headed and "Examples" not in lines:
        first = next((i for i, line in enumerate(lines) if line.startswith(">>>")), None)
        if first is not None:
            lines[first:first] = ["Examples", "--------"]


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", examples, priority=100)  # before napoleon
