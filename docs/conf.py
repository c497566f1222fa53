"""Sphinx configuration of the documentation site; ``scripts/docs`` builds it."""

from spiking_lmu import __version__

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

html_theme = "furo"
html_title = "spiking-lmu"
html_theme_options = {"navigation_with_keys": True}
html_static_path: list[str] = []

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Tutorials are notebooks in MyST Markdown; a cell that fails stops the build.
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
# Parameters and Raises are read as fields; types stand in the signature.
napoleon_use_rtype = False
napoleon_preprocess_types = False
