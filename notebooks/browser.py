"""A Chromium without a window, for printing and testing the site."""

import shutil
import sys
from contextlib import contextmanager

# One that asks nobody anything.
QUIET = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
    "--no-sandbox",  # in a container one is often root
]
NAMES = ["chromium", "chromium-browser", "google-chrome", "chrome"]


def missing():
    """Why there is no browser here, or None."""
    if not any(map(shutil.which, NAMES)):
        return "Chromium is not installed (Debian: apt-get install chromium)"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed (pip install 'byzlib[browser]')"
    return None


@contextmanager
def chromium():
    """The browser; it is closed at the end."""
    from playwright.sync_api import sync_playwright

    path = next(filter(None, map(shutil.which, NAMES)))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=path, args=QUIET)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    sys.exit(missing())
