"""A reader of HTML for tests: tags in order, whether each is closed in turn, and the words."""

from __future__ import annotations

import re
from html.parser import HTMLParser

__all__ = ["Page", "check_self_contained"]

EMPTY = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Tags with their attributes, and whether each is closed in turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def text(self) -> str:
        """All words, one space between them."""
        return " ".join(" ".join(self.words).split())


def check_self_contained(text: str, *, anchors: bool = False) -> Page:
    """Assert that a page runs nothing and refers to nothing outside; return it read.

    ``anchors``: links to places of the page itself are allowed.
    """
    found = Page(text)
    assert found.open == []
    names = {name for name, _ in found.tags}
    banned = {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert not names & (banned if anchors else banned | {"a"})
    attributes = {name for _, attrs in found.tags for name in attrs}
    assert not {name for name in attributes if name.startswith("on")}
    assert not attributes & {"src", "srcset", "xlink:href", "action", "style", "data"}
    links = [attrs["href"] for _, attrs in found.tags if "href" in attrs]
    assert all(re.fullmatch(r"#[a-z-]+", link) for link in links)
    (style,) = re.findall(r"<style>(.*?)</style>", text, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|@font-face|expression|//", style)
    assert not re.search(r"https?:", text)
    return found
