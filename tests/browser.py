"""A real browser for tests of pages: finds Chromium, starts it with nothing but files to reach, records complaints."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
MISSING = f"no Chromium found: put one of {', '.join(NAMES)} on the PATH, or its path into $CHROMIUM (scripts/ensure_chromium)"


@cache
def find_chromium() -> str | None:
    """The path of a Chromium that starts: ``$CHROMIUM`` first, then the usual names on the PATH; None if there is none."""
    candidates = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *NAMES) if name)
    return next((path for path in candidates if path and _starts(path)), None)


def _starts(path: str) -> bool:
    """Some systems put a stub of that name on the PATH, which only advises an installation."""
    try:
        return subprocess.run([path, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


@contextmanager
def chromium(profile: Path, **options: Any) -> Iterator[Any]:
    """A browser context with a fresh profile and its network off.

    It waits as long as a page takes: on a busy machine that is no fault of the page, and pytest ends a test that hangs.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=find_chromium(), args=list(ARGUMENTS), headless=True, timeout=0, **options
        )
        context.set_default_timeout(0)
        context.set_offline(True)
        try:
            yield context
        finally:
            context.close()


def frames(page: Any, count: int) -> None:
    """Wait until the page has drawn itself so many times."""
    page.evaluate(
        """(count) => new Promise((done) => {
            const next = () => (count-- > 0 ? requestAnimationFrame(next) : done());
            next();
        })""",
        count,
    )


class Watch:
    """What a page complained about and what it asked the network for. Both stay empty on a good page."""

    def __init__(self, page: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        page.on("request", self._request)
        page.route(lambda url: not url.startswith(("file:", "data:", "blob:")), lambda route: route.abort())

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning") and not _of_the_machine(message.text):
            self.complaints.append(f"{message.type}: {message.text}")

    def _request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.requests.append(request.url)


def _of_the_machine(text: str) -> bool:
    """Advice of the graphics driver about software rendering, which no page can cause or avoid."""
    return "GPU stall due to ReadPixels" in text or "willReadFrequently" in text
