"""Pages from templates: one stylesheet, every text escaped, a missing value is an error."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

__all__ = ["render"]


def render(template: str, values: Mapping[str, object]) -> str:
    """Fill a template of the folder ``page``.

    Guarantee: the same values give the same bytes; no text of the values becomes markup.

    Args:
        template: name of the file.
        values: what it shows; ``style`` is added: the stylesheet of all pages.

    Returns:
        The page.
    """
    pages = _pages()
    style = Markup(pages.get_template("report.css").render())  # noqa: S704 - our own file
    return pages.get_template(template).render(values, style=style)


@lru_cache(maxsize=1)  # templates are compiled once
def _pages() -> Environment:
    """The templates."""
    return Environment(
        loader=PackageLoader("fedcredit.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,  # a figure that is not there is an error, not a blank
        trim_blocks=True,
        lstrip_blocks=True,
    )
