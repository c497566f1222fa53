"""Accuracy reports from a `results.Comparison`: terminal, Markdown, JSON and HTML."""

from .html import write_html
from .json_report import write_json
from .markdown import write_markdown
from .rows import Row, rows
from .table import to_rich
from .words import headline

__all__ = ["Row", "headline", "rows", "to_rich", "write_html", "write_json", "write_markdown"]
