"""Takes the pictures of the README, of a demo that it starts for that: `python docs/pictures.py` (needs Chromium)."""

import base64
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

FOLDER = Path(__file__).parent / "pictures"
_PHONE = {"width": 390, "height": 844}
_HEIGHT = 930  # of a picture, in pixels of the page: both stay below 300 kB
_SHARPNESS = 1.5


@contextmanager
def demo() -> Iterator[str]:
    """The address of a new demo on a free port."""
    with tempfile.TemporaryDirectory() as folder:
        program = "from tidings.cli import main; main()"
        command = [sys.executable, "-c", program, "demo", folder, "--listen", "127.0.0.1:0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  (our own program)
            try:
                assert process.stdout is not None
                yield next(found[1] for line in process.stdout if (found := re.match(r"Open (\S+)/ ", line)))
            finally:
                process.terminate()


def page(browser: Browser, scheme: str) -> Page:
    """A phone."""
    context = browser.new_context(viewport=_PHONE, color_scheme=scheme, device_scale_factor=_SHARPNESS)  # type: ignore[arg-type]
    return context.new_page()


def digest(browser: Browser, address: str) -> None:
    """The digest of a member of the night crew, at the width of a phone, light and dark side by side."""
    light = page(browser, "light")
    light.goto(f"{address}/demo/")
    light.get_by_role("button", name="To the next digest").click()
    light.get_by_role("link", name="Pump team weekly").last.click()
    source = f"{light.url}/html"
    shots = []
    for scheme in ("light", "dark"):
        phone = page(browser, scheme)
        html = phone.request.get(source).text()
        phone.set_content(html)
        clip = {"x": 0, "y": 0, "width": _PHONE["width"], "height": _HEIGHT}
        shots.append(phone.screenshot(full_page=True, clip=clip))  # type: ignore[arg-type]
    side_by_side(browser, shots, FOLDER / "digest.png")


def side_by_side(browser: Browser, shots: list[bytes], path: Path) -> None:
    """One picture of several."""
    images = "".join(f'<img src="data:image/png;base64,{base64.b64encode(one).decode()}">' for one in shots)
    width = len(shots) * (_PHONE["width"] + 1) - 1
    sheet = browser.new_page(viewport={"width": width, "height": _HEIGHT}, device_scale_factor=_SHARPNESS)
    style = f"body {{ margin: 0; display: flex; gap: 1px; background: #888 }} img {{ width: {_PHONE['width']}px }}"
    sheet.set_content(f"<style>{style}</style>{images}")
    sheet.screenshot(path=path)


def thread(browser: Browser, address: str) -> None:
    """A thread as a member sees it on a phone."""
    phone = page(browser, "light")
    phone.goto(f"{address}/demo/")
    phone.get_by_role("button", name="Sign in as Li Wen").click()
    phone.get_by_role("link", name="Pump team").click()
    phone.get_by_role("link", name="Seal leaks at start-up, line 3").click()
    phone.screenshot(path=FOLDER / "thread.png", full_page=True, clip={"x": 0, "y": 0, **_PHONE, "height": _HEIGHT})


def main() -> None:
    """Take both."""
    FOLDER.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    with demo() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"], env=environment
        )
        digest(browser, address)
        thread(browser, address)
        browser.close()


if __name__ == "__main__":
    main()
