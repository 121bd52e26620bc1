"""The operator's page in a browser that runs script: live, alone, and harmless."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import BrowserContext, Page, Route, sync_playwright

from fedcredit.adapters.loopback import serving
from fedcredit.adapters.operator_page import operator_app
from fedcredit.adapters.studies import Studies
from fedcredit.adapters.system import utc_moment
from tests.adapters.made_centre import LINES, NAMES, NASTY, RUNNING, centre, line, progress
from tests.browser.checks import lost, low_contrast, too_wide, unnamed, unreached
from tests.browser.viewer import DESK, OPTIONS, PHONE, chromium

LIVE_MS: Final = 15_000  # the page asks every two seconds, without script every five


PLANT: Final = """() => { const one = document.createElement('script');
one.textContent = "document.title = 'owned'"; document.head.append(one); }"""


class Tab:
    """A page that is open, and what it asked for and complained of."""

    def __init__(self, context: BrowserContext, origin: str, *, script: bool) -> None:
        self.origin, self.script = origin, script
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page: Page = context.new_page()
        context.route(re.compile(""), self._answer)
        self.page.on("console", lambda one: self.complaints.append(one.text))
        self.page.on("pageerror", lambda one: self.complaints.append(str(one)))

    def _answer(self, route: Route) -> None:
        address = str(route.request.url)
        self.asked.append(address)
        if address.startswith((self.origin, "data:")):
            route.continue_()
        else:
            route.abort()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return centre(tmp_path_factory.mktemp("centre"))


@pytest.fixture(scope="module")
def origin(folder: Path) -> Iterator[str]:
    with serving(operator_app(folder, utc_moment), 0) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def started(profile: Path, *, script: bool) -> Iterator[BrowserContext]:
    resolver = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=chromium(),
            headless=True,
            args=[*(one for one in OPTIONS if "resolver" not in one), resolver],
            java_script_enabled=script,
        )
        try:
            yield context
        finally:
            context.close()


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def tab(request: pytest.FixtureRequest, origin: str, folder: Path, tmp_path: Path) -> Iterator[Tab]:
    """The page, just loaded."""
    progress(Studies(folder).folder / RUNNING[:12], *LINES)
    with started(tmp_path, script=request.param) as context:
        opened = Tab(context, origin, script=request.param)
        opened.page.goto(f"{origin}/")
        yield opened


def test_an_operator_sees_how_each_study_stands(tab: Tab) -> None:
    running = tab.page.locator(f"#study-{RUNNING[:12]}")
    assert running.locator(".round").inner_text() == "3 of 9"
    assert running.locator(".epsilon").inner_text() == "0.300"
    assert running.locator(".eta").inner_text() == "30 s"
    assert running.locator(".standing").all_inner_texts() == ["in", "out", "late"]
    assert tab.page.locator(".auc").inner_text() == "0.830"
    assert tab.page.locator(".days").all_inner_texts() == ["364", "364", "364"]
    assert len(tab.page.locator(".root").inner_text()) == 64


def test_a_new_round_is_seen_without_a_hand_being_moved(tab: Tab, folder: Path) -> None:
    """With script and without."""
    place = Studies(folder).folder / RUNNING[:12]
    progress(place, *LINES, line(4, 15, NAMES))
    figure = tab.page.locator(f"#study-{RUNNING[:12]} .round", has_text="4 of 9")
    figure.wait_for(timeout=LIVE_MS)
    assert figure.inner_text() == "4 of 9"


def test_the_page_asks_its_own_server_alone_and_breaks_no_policy(tab: Tab) -> None:
    tab.page.wait_for_timeout(2500)
    assert {one for one in tab.asked if not one.startswith((tab.origin, "data:"))} == set()
    assert f"{tab.origin}/page.css" in tab.asked
    assert tab.complaints == []


def test_a_text_of_somebody_elses_runs_nothing(tab: Tab) -> None:
    assert tab.page.title() == "Delta"
    assert NASTY in tab.page.locator(f"#study-{RUNNING[:12]}").inner_text()
    assert tab.page.locator("img").count() == 0


def test_the_policy_keeps_planted_script_from_running(tab: Tab) -> None:
    """Even if a text had become markup. A page without a policy runs it."""
    tab.page.evaluate(PLANT)
    assert tab.page.title() == "Delta"
    tab.page.goto("data:text/html,<title>bare</title>")
    tab.page.evaluate(PLANT)
    assert tab.page.title() == ("owned" if tab.script else "bare")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_is_read_by_everybody(tab: Tab, size: tuple[int, int], dark: bool) -> None:
    tab.page.set_viewport_size({"width": size[0], "height": size[1]})
    tab.page.emulate_media(color_scheme="dark" if dark else "light")
    found = [check(tab.page) for check in (lost, too_wide, low_contrast, unnamed)]
    assert found == [[], [], [], []]


def test_the_keyboard_reaches_every_table(tab: Tab) -> None:
    assert unreached(tab.page) == []
