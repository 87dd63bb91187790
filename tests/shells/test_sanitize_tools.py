"""The shell `sanitize_tools`: learnt lessons are printed and logged as configuration."""

from collections.abc import Iterator

import pytest
import sanitize_tools
from load_configuration import Suite
from mitmproxy.test import taddons
from wiremend.adapt.lessons import Lesson
from wiremend.config.current import CurrentConfig
from wiremend.config.load import parse_config
from wiremend.engine.settings import Knowledge


@pytest.fixture
def shell() -> Iterator[tuple[sanitize_tools.SanitizeTools, taddons.context]]:
    shell = sanitize_tools.SanitizeTools(Suite(CurrentConfig(), Knowledge()))
    with taddons.context(shell) as addons:
        yield shell, addons


def test_the_command_prints_learnt_lessons_as_configuration(
    shell: tuple[sanitize_tools.SanitizeTools, taddons.context],
) -> None:
    addon, addons = shell
    assert addons.master.commands.execute("wiremend.lessons") == ""
    addon.book.learn("p", "m", [Lesson("field", "context_management")])
    text = addons.master.commands.execute("wiremend.lessons")
    [lesson] = parse_config(text, "x", {}).lessons
    assert (lesson.provider, lesson.model, lesson.kind) == ("p", "m", "field")
    assert lesson.value == "context_management"


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
