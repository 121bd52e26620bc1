"""The auditor's page and the run report in a browser: without script, light, dark, paper, phone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.browser.checks import (
    folded,
    lost,
    low_contrast,
    pages_printed,
    too_wide,
    unnamed,
    unreached,
)
from tests.browser.viewer import A4, DESK, PHONE, Viewer

VERDICTS: Final = {
    "study": "Holds",
    "rule broken": "Rule broken",
    "evidence broken": "Evidence broken",
    "long": "Holds",
}
NAMES: Final = (*VERDICTS, "report")


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_is_seen_before_anything_is_done(
    name: str, size: tuple[int, int], pages: Mapping[str, Path], browser: Viewer
) -> None:
    """Script is off, and nobody has scrolled."""
    word = browser.show(pages[name], size).locator(".verdict strong")
    assert word.inner_text() == VERDICTS[name]
    assert word.is_visible()
    box = word.bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= size[1]


def test_the_report_leads_with_the_claim_in_force(
    pages: Mapping[str, Path], browser: Viewer
) -> None:
    box = browser.show(pages["report"], PHONE).locator(".lead-card .figure").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= PHONE[1]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_asked_of_the_outside(
    name: str, pages: Mapping[str, Path], browser: Viewer
) -> None:
    browser.show(pages[name])
    assert browser.asked == []


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("name", NAMES)
def test_every_part_is_seen_or_can_be_opened(
    name: str, size: tuple[int, int], pages: Mapping[str, Path], browser: Viewer
) -> None:
    assert lost(browser.show(pages[name], size)) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_letters_stand_out(
    name: str, dark: bool, pages: Mapping[str, Path], browser: Viewer
) -> None:
    """Contrast of 4.5 and more, folded parts opened."""
    page = browser.show(pages[name], dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert low_contrast(page) == []


@pytest.mark.parametrize("name", NAMES)
def test_dark_is_dark(name: str, pages: Mapping[str, Path], browser: Viewer) -> None:
    grounds = {
        browser.show(pages[name], dark=dark).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for dark in (False, True)
    }
    assert len(grounds) == 2


@pytest.mark.parametrize("size", [DESK, (800, 600), PHONE], ids=["desk", "tablet", "phone"])
@pytest.mark.parametrize("name", NAMES)
def test_nobody_scrolls_sideways(
    name: str, size: tuple[int, int], pages: Mapping[str, Path], browser: Viewer
) -> None:
    """Wide tables scroll within a frame of their own; folded ones do too."""
    page = browser.show(pages[name], size)
    assert too_wide(page) == []
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert too_wide(page) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_paper_shows_everything(
    name: str, dark: bool, pages: Mapping[str, Path], browser: Viewer
) -> None:
    """Folds are open, nothing is cut off, and letters stand out where no ground is printed."""
    page = browser.show(pages[name], A4, dark=dark, printed=True)
    assert folded(page) == []
    assert too_wide(page) == []
    assert low_contrast(page, paper=True) == []


@pytest.mark.parametrize("name", NAMES)
def test_folded_parts_are_printed(name: str, pages: Mapping[str, Path], browser: Viewer) -> None:
    """As many sheets as if somebody had opened every fold first."""
    page = browser.show(pages[name], printed=True)
    folds = pages_printed(page)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert folds == pages_printed(page)


@pytest.mark.parametrize("name", NAMES)
def test_the_keyboard_reaches_and_opens_all(
    name: str, pages: Mapping[str, Path], browser: Viewer
) -> None:
    """Tab and Enter are enough, and focus is seen."""
    assert unreached(browser.show(pages[name])) == []


@pytest.mark.parametrize("name", NAMES)
def test_whoever_hears_the_page_misses_nothing(
    name: str, pages: Mapping[str, Path], browser: Viewer
) -> None:
    assert unnamed(browser.show(pages[name])) == []
