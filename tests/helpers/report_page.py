"""Reading and rendering the HTML report in tests."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest


class Tags(HTMLParser):
    """Tags, ids, references, and figures without a name."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.refs: list[str] = []
        self.unnamed: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.names.add(tag)
        self.ids += [values["id"]] if "id" in values else []
        self.refs += [values[k] for k in ("src", "href", "xlink:href", "action") if k in values]
        if (tag == "svg" and not values.get("aria-label")) or (
            tag == "img" and not values.get("alt")
        ):
            self.unnamed.append(tag)


def screenshot(page: Path, folder: Path, width: int, height: int) -> np.ndarray:
    """The page in a browser, pixels (height, width, 3); skips where there is none."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium on the path: the page is not rendered here")
    shot = folder / "shot.png"
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}",
        f"--window-size={width},{height}",
        f"--screenshot={shot}",
    ]
    subprocess.run([browser, *flags, page.as_uri()], check=True, timeout=120, capture_output=True)
    from matplotlib.image import imread

    pixels: np.ndarray = imread(shot)[..., :3]
    assert pixels.shape[1] == width
    return pixels
