"""Texts of content views that the console keeps. Contract 31."""

from pathlib import Path
from types import SimpleNamespace

import mitmproxy
from mitmproxy import contentviews
from wiremend.seam.shown.rendered_views import forget_rendered

TOOLS = Path(mitmproxy.__file__).parent / "tools"
"""Read as text: importing the console imports deprecated modules of urwid."""


def test_the_console_drops_its_texts_when_a_view_is_replaced() -> None:
    source = (TOOLS / "console" / "flowview.py").read_text()
    assert "contentviews.registry.on_change.connect(self.contentview_changed)" in source
    changed = source.partition("def contentview_changed(")[2].partition("def ")[0]
    assert "self._get_content_view.cache_clear()" in changed


def test_only_the_console_has_a_window() -> None:
    assert "self.window = " in (TOOLS / "console" / "master.py").read_text()
    for master in ("dump.py", "web/master.py"):
        assert "self.window" not in (TOOLS / master).read_text()


def test_the_console_alone_is_notified() -> None:
    changed: list[str] = []

    def note(view: contentviews.Contentview) -> None:
        changed.append(view.name)

    contentviews.registry.on_change.connect(note)
    forget_rendered(SimpleNamespace())
    assert changed == []
    forget_rendered(SimpleNamespace(window=None))
    assert changed == ["Raw"]
