"""The page about learning rules: its code runs and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "learning-rules.md"


def test_the_page_runs_as_printed():
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    scope: dict[str, object] = {}
    printed, compared = "", 0
    for language, text in blocks:
        if language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out, warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="No GPU support detected")
                exec(compile(text, str(PAGE), "exec"), scope)
            printed = out.getvalue()
        else:
            assert (language, printed) == ("text", text)
            compared += 1
    assert compared == 4


def test_the_picture_is_there():
    (name,) = re.findall(r"\(images/(\S+\.svg)\)", PAGE.read_text("utf-8"))
    assert (PAGE.parent / "images" / name).is_file()
