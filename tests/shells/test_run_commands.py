"""The shell `run_commands`, apart from a proxy; `traffic/operation/test_commands.py` uses one."""

from collections.abc import Iterator

import pytest
import run_commands
from load_configuration import Suite
from mitmproxy import types
from mitmproxy.exceptions import CommandError
from mitmproxy.test import taddons
from wiremend.adapt.lessons import Lesson
from wiremend.config.current import CurrentConfig
from wiremend.config.load import parse_config
from wiremend.engine.settings import Knowledge


@pytest.fixture
def shell() -> Iterator[tuple[run_commands.RunCommands, taddons.context]]:
    shell = run_commands.RunCommands(Suite(CurrentConfig(), Knowledge()))
    with taddons.context(shell) as addons:
        yield shell, addons


def test_learnt_lessons_are_returned_as_configuration(
    shell: tuple[run_commands.RunCommands, taddons.context],
) -> None:
    addon, addons = shell
    addon.knowledge.lessons.learn("p", "m", [Lesson("field", "context_management")])
    text = addons.master.commands.execute("wiremend.lessons")
    [lesson] = parse_config(text, "x", {}).lessons
    assert (lesson.provider, lesson.model, lesson.kind) == ("p", "m", "field")
    assert lesson.value == "context_management"


def test_without_lessons_there_is_a_line_that_is_configuration_too(
    shell: tuple[run_commands.RunCommands, taddons.context],
) -> None:
    _, addons = shell
    text = addons.master.commands.execute("wiremend.lessons")
    assert text == "# nothing was learnt"
    assert parse_config(text, "x", {}).lessons == ()


def test_the_choices_of_forget_are_offered_and_in_its_errors(
    shell: tuple[run_commands.RunCommands, taddons.context],
) -> None:
    _, addons = shell
    commands = addons.master.commands
    choice = types.Choice("wiremend.forget.options")
    completion = types.CommandTypes.get(choice).completion
    choices = ["all", "breakers", "budgets", "keys", "lessons"]
    assert list(completion(commands, choice, "")) == choices
    for command in ("wiremend.forget", "wiremend.forget everything"):
        with pytest.raises(CommandError, match=", ".join(choices)):
            commands.execute(command)
    assert commands.execute("wiremend.forget keys") == "forgotten: 0 keys"
