"""`scripts/screenshots`: pictures of mitmweb with broken calls."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
for _folder in ("addons", "tests"):
    sys.path.insert(0, str(REPOSITORY / _folder))

from small_png import smaller  # noqa: E402
from traffic.broken_calls import BROKEN_CALLS, CONFIGURATION, HOSTS  # noqa: E402 - found by then
from traffic.browser import CHROMIUM, Browser  # noqa: E402
from traffic.mitmweb_page import MitmwebPage  # noqa: E402
from traffic.web import Web  # noqa: E402
from wiremend.launch.run import web_arguments  # noqa: E402
from wiremend.testing.certificates import Authority  # noqa: E402
from wiremend.testing.provider import ScriptedProvider  # noqa: E402

OF_README = REPOSITORY / ".github" / "pictures"
WIDTH, HEIGHT = 1280, 800
HEIGHT_OF_README = 640
_TOOLBAR_HEIGHT, _FOOTER_HEIGHT = 130, 25
_VIEWS = ("before and after", "timeline")


@contextmanager
def page_with_broken_calls(height: int) -> Iterator[MitmwebPage]:
    """Make the calls and open the page of mitmweb."""
    with tempfile.TemporaryDirectory(prefix="wiremend-pictures-") as name:
        folder = Path(name)
        authority_folder = folder / "authority"
        authority_folder.mkdir()
        authority = Authority(authority_folder)
        with (
            ScriptedProvider(authority.leaf(*HOSTS), folder) as provider,
            Web(
                folder / "web",
                authority,
                dict.fromkeys(HOSTS, provider.port),
                configuration=CONFIGURATION,
                arguments=web_arguments(),
            ) as web,
            Browser(folder / "browser") as browser,
        ):
            for call in BROKEN_CALLS:
                provider.script(call.replies)
                call.make(web)
            page = MitmwebPage(browser, web, WIDTH, height)
            page.wait_for_rows(len(BROKEN_CALLS))
            page.wait_for_quiet()
            yield page


def take_those_of_readme(folder: Path) -> Iterator[Path]:
    """Yield the three pictures: the answer of a fallback, repaired events, a timeline."""
    with page_with_broken_calls(HEIGHT_OF_README) as page:
        for comment, view in (
            ("fell back", ""),
            ("repaired", "before and after"),
            ("retried", "timeline"),
        ):
            page.select(comment)
            page.tab("Response")
            page.wait_for_line(f"✓ {comment}")
            if view:
                page.view(view)
            picture = page.page.picture(_TOOLBAR_HEIGHT, _FOOTER_HEIGHT)
            yield _write(folder / f"{(view or 'response').replace(' ', '-')}.png", picture)


def take_all(folder: Path) -> Iterator[Path]:
    """Yield pictures of the list, and of each call on its tabs and in its views."""
    with page_with_broken_calls(HEIGHT) as page:
        yield _write(folder / "list.png", page.page.picture())
        for number, call in enumerate(BROKEN_CALLS):
            name = call.name.replace(",", "").replace(" ", "-")
            page.select_row(number)
            page.tab("Request")
            yield _write(folder / f"{name}-request.png", page.page.picture())
            page.tab("Response")
            yield _write(folder / f"{name}-response.png", page.page.picture())
            for view in _VIEWS:
                page.view(view)
                yield _write(folder / f"{name}-{view.replace(' ', '-')}.png", page.page.picture())


def _write(path: Path, png: bytes) -> Path:
    path.write_bytes(smaller(png))
    return path


def main(arguments: list[str]) -> int:
    """Take the pictures; return the exit status."""
    if CHROMIUM is None:
        print("scripts/screenshots: no Chromium is installed", file=sys.stderr)
        return 1
    folder = Path(arguments[0]) if arguments else OF_README
    folder.mkdir(parents=True, exist_ok=True)
    for path in take_all(folder) if arguments else take_those_of_readme(folder):
        print(f"{path} ({path.stat().st_size:,} bytes)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
