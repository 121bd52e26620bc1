"""The operator's page: a coordinator's folder in a browser, read only, on this machine alone.

GET /           the page; without script it loads itself anew every five seconds
GET /live       its changing part, which htmx fetches every two seconds
GET /htmx.js /page.css

Nothing is changed by any request, nothing secret is shown, and the page asks nobody else for
anything: its policy (Content-Security-Policy) lets a browser fetch from here alone, and run
no script but the one file. htmx 2.0.8 (0BSD) lies beside the templates as npm has it; its
hash is checked before it is served.
"""

from __future__ import annotations

import base64
import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response

from fedcredit.adapters.asgi import App, Headers
from fedcredit.adapters.loopback import guarded
from fedcredit.adapters.overview import Overview, overview
from fedcredit.errors import FedCreditError, IntegrityError
from fedcredit.report.render import render

__all__ = ["HTMX_SHA256", "POLICY", "operator_app"]

HTMX_SHA256: Final = "22283ef68cb7545914f0a88a1bdedc7256a703d1d580c1d255217d0a50d31313"
"""Of dist/htmx.min.js in htmx.org 2.0.8."""

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final[Headers] = [
    (b"content-security-policy", POLICY.encode()),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_LIVE: Final = "operator_live.html"
_LOG: Final = logging.getLogger("fedcredit.page")


def operator_app(folder: Path, now: Callable[[], datetime]) -> App:
    """The page of a coordinator's folder, as an ASGI app.

    Args:
        folder: the coordinator's.
        now: time of day, with a time zone.

    Raises:
        IntegrityError: the script is not the one that we ship.
    """
    script, style = _script(), render("report.css", {})
    integrity = base64.b64encode(bytes.fromhex(HTMX_SHA256)).decode()
    pages = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    def shown(template: str) -> HTMLResponse:
        """A page or its part, of this moment."""
        status, found, trouble = 200, None, ("", "")
        try:
            found = overview(folder, now())
        except FedCreditError as problem:
            status, trouble = 503, (problem.what, problem.remedy)
            _LOG.warning("%s", problem.what)
        values: dict[str, Overview | str | tuple[str, str] | None] = {
            "view": found,
            "trouble": trouble,
            "integrity": integrity,
        }
        # htmx puts in place what comes with 200 alone: a fault must be seen too.
        return HTMLResponse(render(template, values), 200 if template == _LIVE else status)

    @pages.get("/")
    def page() -> HTMLResponse:
        """The whole page."""
        return shown("operator.html")

    @pages.get("/live")
    def live() -> HTMLResponse:
        """What changes."""
        return shown(_LIVE)

    @pages.get("/htmx.js")
    def htmx() -> Response:
        """The script."""
        return Response(script, media_type="text/javascript")

    @pages.get("/page.css")
    def css() -> Response:
        """The stylesheet."""
        return Response(style, media_type="text/css")

    return guarded(cast("App", pages), _HEADERS)


def _script() -> bytes:
    """The script, which is the one that its authors published."""
    data = (files("fedcredit.report") / "page" / "htmx.min.js").read_bytes()
    if hashlib.sha256(data).hexdigest() != HTMX_SHA256:
        raise IntegrityError(
            "page/htmx.min.js is not the file of htmx.org 2.0.8", remedy="install fedcredit anew"
        )
    return data
