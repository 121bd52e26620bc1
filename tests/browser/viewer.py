"""A Chromium that shows one page after another: no script, no network, a profile of its own."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

__all__ = ["A4", "DESK", "PHONE", "Viewer", "chromium", "viewer"]

DESK: Final = (1280, 800)
PHONE: Final = (360, 740)
A4: Final = (718, 1047)
"""The paper within Chromium's margins of 10 mm, in CSS pixels."""

OPTIONS: Final = (
    "--headless",
    "--no-sandbox",  # a container's root has no other way, and the pages are our own
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # should a request get past the route below
)


def chromium() -> str:
    """The installed Chromium; none is downloaded."""
    names = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise FileNotFoundError(
            "no Chromium was found. fix: apt-get install chromium, or name one: "
            "make browser CHROMIUM=/path/to/chromium"
        )
    return found


class Viewer:
    """A tab, and what its page asked for beside itself.

    Attributes:
        page: the tab.
        asked: addresses that the page of now asked for; none was answered.
    """

    def __init__(self, context: BrowserContext) -> None:
        self.asked: list[str] = []
        self._address = ""
        context.route(re.compile(""), self._answer)
        self.page: Page = context.new_page()

    def show(
        self,
        path: Path,
        size: tuple[int, int] = DESK,
        *,
        dark: bool = False,
        printed: bool = False,
    ) -> Page:
        """Open a file afresh."""
        self.asked.clear()
        self._address = path.as_uri()
        self.page.set_viewport_size({"width": size[0], "height": size[1]})
        self.page.emulate_media(
            media="print" if printed else "screen", color_scheme="dark" if dark else "light"
        )
        self.page.goto(self._address)
        return self.page

    def _answer(self, route: Route) -> None:
        """Let the page itself through, and nothing else."""
        address = str(route.request.url)
        if address == self._address:
            route.continue_()
        else:
            self.asked.append(address)
            route.abort()


@contextmanager
def viewer(profile: Path) -> Iterator[Viewer]:
    """Start a browser with an empty profile; end it.

    Args:
        profile: a new, empty folder.
    """
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium(),
            headless=True,
            args=list(OPTIONS),
            java_script_enabled=False,
        )
        try:
            yield Viewer(context)
        finally:
            context.close()
