"""The shell `sanitize_tools`: learnt lessons are logged as configuration."""

from collections.abc import Iterator

import pytest
import sanitize_tools
from load_configuration import Suite
from mitmproxy.test import taddons
from wiremend.adapt.lessons import Lesson
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge


@pytest.fixture
def shell() -> Iterator[tuple[sanitize_tools.SanitizeTools, taddons.context]]:
    shell = sanitize_tools.SanitizeTools(Suite(CurrentConfig(), Knowledge()))
    with taddons.context(shell) as addons:
        yield shell, addons


def test_learnt_lessons_are_logged_at_the_end(
    shell: tuple[sanitize_tools.SanitizeTools, taddons.context],
    caplog: pytest.LogCaptureFixture,
) -> None:
    addon, _ = shell
    caplog.set_level("INFO", "wiremend")
    addon.done()
    assert caplog.messages == []
    addon.book.learn("p", "m", [Lesson("beta", "b-1")])
    addon.done()
    assert caplog.messages == [
        "wiremend: learnt from rejections:\n"
        '[[lessons]]\nprovider = "p"\nmodel = "m"\nkind = "beta"\nvalue = "b-1"\n'
    ]
