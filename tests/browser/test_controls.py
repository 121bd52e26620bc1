"""The checks themselves: each finds the fault that was put into a page on purpose."""

from __future__ import annotations

from collections.abc import Callable
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
from tests.browser.viewer import A4, DESK, PHONE, Viewer, chromium

SOUND: Final = """<p>Read me.</p><details><summary>More</summary><p>Folded.</p></details>
<style>@media print { details::details-content { content-visibility: visible; block-size: auto } }
</style>"""


@pytest.fixture
def show(tmp_path: Path, browser: Viewer) -> Callable[..., Viewer]:
    """Show a page with this body."""

    def shown(
        body: str,
        size: tuple[int, int] = DESK,
        *,
        printed: bool = False,
        top: str = '<html lang="en"><title>A page</title>',
    ) -> Viewer:
        path = tmp_path / "page.html"
        path.write_text(f'<!doctype html>{top}<meta charset="utf-8"><body>{body}', "utf-8")
        browser.show(path, size, printed=printed)
        return browser

    return shown


def test_a_sound_page_has_no_fault(show: Callable[..., Viewer]) -> None:
    page = show(SOUND).page
    checks = (lost, too_wide, low_contrast, unnamed, unreached)
    assert [check(page) for check in checks] == [[]] * len(checks)
    assert show(SOUND).asked == []
    assert folded(show(SOUND, A4, printed=True).page) == []


@pytest.mark.parametrize(
    "body",
    [
        '<img src="https://pictures.example/one.png" alt="one">',
        '<style>p { background: url("https://pictures.example/two.png") }</style><p>a</p>',
        '<link rel="stylesheet" href="https://pictures.example/three.css">',
    ],
)
def test_a_picture_from_outside_is_noticed(body: str, show: Callable[..., Viewer]) -> None:
    (asked,) = show(body).asked
    assert asked.startswith("https://pictures.example/")


@pytest.mark.parametrize(
    "body",
    [
        '<div style="width: 400px">wide</div>',
        f"<p>{'hexadecimal' * 20}</p>",
        f'<div style="overflow: hidden"><p style="width: 600px">{"cut off " * 20}</p></div>',
    ],
)
def test_a_page_that_is_too_wide_is_noticed(body: str, show: Callable[..., Viewer]) -> None:
    assert too_wide(show(body, PHONE).page)


def test_a_wide_table_in_a_frame_is_no_fault(show: Callable[..., Viewer]) -> None:
    body = '<div style="overflow-x: auto"><div style="width: 900px">wide</div></div>'
    assert too_wide(show(body, PHONE).page) == []


@pytest.mark.parametrize(
    "body",
    [
        '<p style="color: #888">grey on white</p>',
        '<div style="background: #222"><p style="color: #556">dark on dark</p></div>',
        '<p style="color: #000; opacity: .4">pale</p>',
        '<svg viewBox="0 0 90 20"><text y="15" fill="#9a9a9a">drawn</text></svg>',
        '<div style="background: rgba(0, 0, 0, .5)"><p style="color: #444">half black</p></div>',
        '<p style="color: rgb(0 0 0 / .3)">thin</p>',
    ],
)
def test_low_contrast_is_noticed(body: str, show: Callable[..., Viewer]) -> None:
    assert low_contrast(show(body).page)


def test_white_letters_are_noticed_on_paper_alone(show: Callable[..., Viewer]) -> None:
    """The ground that they need is not printed."""
    page = show('<div style="background: #111; color: #fff">white</div>').page
    assert low_contrast(page) == []
    assert low_contrast(page, paper=True)


@pytest.mark.parametrize(
    "body",
    [
        "<section hidden><p>hidden</p></section>",
        '<p hidden>x</p><script>document.querySelector("p").hidden = false</script>',
        '<p style="opacity: 0">clear</p>',
        '<details><summary style="display: none">More</summary><p>shut in</p></details>',
    ],
)
def test_a_part_that_only_script_would_show_is_noticed(
    body: str, show: Callable[..., Viewer]
) -> None:
    assert lost(show(body).page)


def test_a_fold_that_paper_keeps_shut_is_noticed(show: Callable[..., Viewer]) -> None:
    """By the check of parts and by the count of sheets."""
    long = "<p>line</p>" * 200
    page = show(f"<details><summary>More</summary>{long}</details>", A4, printed=True).page
    assert folded(page)
    before = pages_printed(page)
    page.evaluate("document.querySelector('details').open = true")
    assert pages_printed(page) > before


@pytest.mark.parametrize(
    "body",
    [
        '<details><summary tabindex="-1">More</summary><p>a</p></details>',
        "<style>summary { outline: none }</style><details><summary>More</summary></details>",
        "<details inert><summary>More</summary><p>a</p></details>",
    ],
)
def test_a_fold_that_the_keyboard_misses_is_noticed(body: str, show: Callable[..., Viewer]) -> None:
    assert unreached(show(body).page)


@pytest.mark.parametrize(
    ("body", "top"),
    [
        ("", "<html><title>A page</title>"),
        ("", '<html lang="en">'),
        ('<img src="data:,">', '<html lang="en"><title>A page</title>'),
        ("<svg></svg>", '<html lang="en"><title>A page</title>'),
    ],
)
def test_a_missing_name_is_noticed(body: str, top: str, show: Callable[..., Viewer]) -> None:
    assert unnamed(show(body, top=top).page)


def test_without_a_browser_the_remedy_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test is left out in silence."""
    monkeypatch.delenv("CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="fix: apt-get install chromium"):
        chromium()
