"""What is asked of a page in a browser; every check returns what is wrong, in words."""

from __future__ import annotations

import re
from typing import Final

from playwright.sync_api import Page

__all__ = ["folded", "lost", "low_contrast", "pages_printed", "too_wide", "unnamed", "unreached"]

LEAST_CONTRAST: Final = 4.5
"""WCAG 2.2, success criterion 1.4.3, asked of large letters too."""

MOST_STOPS: Final = 5000

_SHOWN: Final = """
const parts = [...document.querySelectorAll(
  'section, table, h1, h2, h3, p, li, dt, dd, td, th, svg, strong, figure, summary, caption')];
const told = e => `${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 40)}"`;
const shown = e => e.checkVisibility({opacityProperty: true, visibilityProperty: true,
  contentVisibilityAuto: true}) && e.getClientRects().length > 0;
"""

_LOST: Final = f"""() => {{ {_SHOWN}
  const opens = e => {{
    let outermost = null;
    for (let at = e; at; at = at.parentElement)
      if (at.matches('details:not([open])')) outermost = at;
    const summary = outermost && outermost.querySelector(':scope > summary');
    return summary && shown(summary);
  }};
  return parts.filter(e => !shown(e) && !opens(e)).map(told);
}}"""

_FOLDED: Final = f"""() => {{ {_SHOWN}
  return parts.filter(e => !shown(e) && !e.closest('nav')).map(told);
}}"""

_WIDE: Final = """() => {
  const root = document.documentElement, limit = root.clientWidth + 1, found = [];
  if (root.scrollWidth > limit) found.push(`the page is ${root.scrollWidth} wide`);
  const scrolls = e => {
    for (let at = e.parentElement; at && at !== document.body; at = at.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(at).overflowX)) return true;
    return false;
  };
  for (const e of document.body.querySelectorAll('*')) {
    if (!e.checkVisibility() || scrolls(e)) continue;
    const right = e.getBoundingClientRect().right;
    if (right > limit) found.push(`${e.tagName.toLowerCase()} reaches to ${Math.round(right)}`);
  }
  return found;
}"""

# Colours are layered as the browser layers them; a picture under letters is not looked at.
_CONTRAST: Final = """([least, paper]) => {
  const read = text => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    const scale = text.startsWith('color(') ? 255 : 1;
    const [r, g, b, a = 1] = numbers;
    return [r * scale, g * scale, b * scale, a];
  };
  const over = (top, under) =>
    [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const ground = e => {
    const layers = [];
    for (let at = e; at && !paper; at = at.parentElement)
      layers.push(read(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]);
  };
  const light = colour => {
    const [r, g, b] = colour.map(v => {
      const x = v / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = new Map();
  let looked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, words = walker.currentNode.data.trim();
    if (!words || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), under = ground(e);
    const ink = read(e instanceof SVGElement ? style.fill : style.color);
    for (let at = e; at; at = at.parentElement) ink[3] *= Number(getComputedStyle(at).opacity);
    const [a, b] = [light(over(ink, under)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    looked += 1;
    const name = `${e.tagName.toLowerCase()}.${e.getAttribute('class') || ''}`;
    if (ratio < least && !found.has(name))
      found.set(name, `${name} "${words.slice(0, 30)}" has ${ratio.toFixed(2)}`);
  }
  return looked ? [...found.values()] : ['no letters were found'];
}"""

_UNNAMED: Final = """() => {
  const found = [];
  if (!document.documentElement.lang) found.push('the page has no language');
  if (!document.title.trim()) found.push('the page has no title');
  for (const e of document.querySelectorAll('img:not([alt])')) found.push('an img has no alt');
  for (const e of document.querySelectorAll('svg')) {
    const named = e.getAttribute('role') === 'img' && e.getAttribute('aria-label');
    if (!named && e.getAttribute('aria-hidden') !== 'true') found.push('an svg has no name');
  }
  return found;
}"""

_STOP: Final = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const all = [...document.querySelectorAll('*')], style = getComputedStyle(e);
  return {
    at: all.indexOf(e),
    shut: e.tagName === 'SUMMARY' && !e.parentElement.open,
    marked: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0,
    name: `${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 40)}"`,
  };
}"""

_STOPS_MISSED: Final = """reached => {
  const all = [...document.querySelectorAll('*')];
  const stops = [...document.querySelectorAll('summary, a[href], [tabindex="0"]')];
  const shut = [...document.querySelectorAll('details:not([open])')];
  return stops.filter(e => !reached.includes(all.indexOf(e)))
    .map(e => `${e.tagName.toLowerCase()} "${e.textContent.trim().slice(0, 40)}" is not reached`)
    .concat(shut.map(e => `"${e.textContent.trim().slice(0, 40)}" stays shut`));
}"""


def lost(page: Page) -> list[str]:
    """Parts that are neither seen nor behind a fold that a reader can open."""
    return _words(page.evaluate(_LOST))


def folded(page: Page) -> list[str]:
    """Parts that are not seen, menu aside: on paper nobody can open a fold."""
    return _words(page.evaluate(_FOLDED))


def too_wide(page: Page) -> list[str]:
    """What reaches beyond the right edge, but for what scrolls within a frame of its own."""
    return _words(page.evaluate(_WIDE))


def low_contrast(page: Page, *, paper: bool = False) -> list[str]:
    """Kinds of visible letters that stand out too little.

    ``paper``: against white, because browsers print no backgrounds unless asked to.
    """
    return _words(page.evaluate(_CONTRAST, [LEAST_CONTRAST, paper]))


def unnamed(page: Page) -> list[str]:
    """What a reader who hears the page would miss."""
    return _words(page.evaluate(_UNNAMED))


def unreached(page: Page) -> list[str]:
    """Walk with Tab, open each fold with Enter: what cannot be reached, opened or seen in focus."""
    reached: list[int] = []
    found: list[str] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = page.evaluate(_STOP)
        if stop is None or stop["at"] in reached:
            break
        reached.append(int(stop["at"]))
        if not stop["marked"]:
            found.append(f"{stop['name']} has no mark of focus")
        if stop["shut"]:
            page.keyboard.press("Enter")
    return found + _words(page.evaluate(_STOPS_MISSED, reached))


def pages_printed(page: Page) -> int:
    """How many sheets of A4 the page takes."""
    return len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))


def _words(found: object) -> list[str]:
    """What a check in the page gave back."""
    assert isinstance(found, list)
    return [str(one) for one in found]
