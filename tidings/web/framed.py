"""The HTML of a mail as a page for a frame: it runs nothing, loads nothing and sends nothing, and has no origin.

What the mail says, and who may see it, is not its matter.
"""

from starlette.responses import HTMLResponse

from tidings.web.pages import HEADERS

SANDBOX = "allow-top-navigation-by-user-activation"
"""Of the frame and of the page in it: no script and no form; a link that is pressed leaves the frame."""

MAY_FRAME = HEADERS["Content-Security-Policy"] + "; frame-src 'self'"
"""The policy of a page that has such a frame."""

_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox {SANDBOX}"
    )
}


def framed(html: str) -> HTMLResponse:
    """The page; its links lead out of the frame."""
    return HTMLResponse('<base target="_top">'.join(_after_head(html)), headers=_HEADERS)


def _after_head(html: str) -> tuple[str, str]:
    """The text before and after the place where its head begins."""
    at = html.lower().find("<head>")
    at = 0 if at < 0 else at + len("<head>")
    return html[:at], html[at:]
