"""Every rule is documented, has a unique code, and is on the generated page."""

import importlib
import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from wiremend.adapt import tool_list
from wiremend.adapt.schema_conversion import convert_schema
from wiremend.adapt.schema_dialects import DIALECTS
from wiremend.adapt.schemas import DIALECT_RULES
from wiremend.catalogue import FAMILIES, catalogue, collect, render_page
from wiremend.engine import rules as engine_rules
from wiremend.protocols.base import history, parameters
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.chat import body as chat_body
from wiremend.repair import stream as framing
from wiremend.routing import fire_and_forget
from wiremend.rules.rule import Rule

RULE = Rule(
    code="S901",
    name="made-up",
    detects="Two | bars.",
    impact="A client.",
    action="One bar.",
    protocols=("responses", "gemini"),
    seen=("anomalyco/opencode#21979", "https://example.com/a", "a provider"),
    before="data: ```\n\n",
    after="data: x\n",
)

each_rule = pytest.mark.parametrize("rule", catalogue(), ids=lambda rule: rule.code)


@each_rule
def test_the_texts_of_a_rule_are_sentences(
    rule: Rule,
) -> None:
    for sentence in (rule.detects, rule.impact, rule.action):
        assert re.fullmatch(r"\S.*\S", sentence)  # one line, no white space around it
        assert sentence.endswith((".", "`", '"'))
        assert not sentence.startswith("TODO"), "left by `scripts/rules new`"


OTHER_WORDS = {"say": "contain", "tell": "contain", "refuse": "reject", "mend": "repair"}
"""Words that a rule's text avoids, with the term that it uses instead."""


@each_rule
@pytest.mark.parametrize("word", OTHER_WORDS)
def test_a_rules_text_uses_one_term_for_one_thing(rule: Rule, word: str) -> None:
    quoted = re.compile(r"``.*?``|`[^`]*`|\"[^\"]*\"")
    text = quoted.sub("", " ".join((rule.detects, rule.impact, rule.action)))
    found = re.search(rf"(?i)\b{word}(s|d|ed|ing)?\b", text)
    assert not found, f"use {OTHER_WORDS[word]!r}"


@each_rule
def test_a_rule_has_a_short_name_in_kebab_case(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.name)
    assert len(rule.name) <= 40


@each_rule
def test_the_protocols_of_a_rule_are_valid(rule: Rule) -> None:
    assert set(rule.protocols) <= set(WireProtocol)
    assert len(set(rule.protocols)) == len(rule.protocols)


@each_rule
def test_a_rule_is_on_the_page_with_all_its_texts(rule: Rule) -> None:
    page = render_page(catalogue())
    assert page.count(f"### {rule.code} {rule.name}\n") == 1
    for text in (rule.detects, rule.impact, rule.action, rule.before, rule.after, *rule.seen):
        assert text.removesuffix("\n") in page


def test_the_rules_are_sorted_and_their_codes_unique() -> None:
    codes = [rule.code for rule in catalogue()]
    assert codes == sorted(set(codes))


def test_the_rules_of_every_module_are_listed() -> None:
    modules = (framing, tool_list, history, parameters, fire_and_forget, engine_rules, chat_body)
    for module in modules:
        rules = {value for value in vars(module).values() if isinstance(value, Rule)}
        assert rules
        assert rules <= set(catalogue()), f"{module.__name__} has a rule that is not listed"


def test_a_rule_that_several_modules_import_is_listed_once() -> None:
    assert collect([RULE, RULE, replace(RULE)]) == (RULE,)


def test_two_rules_may_have_the_same_name() -> None:
    other = replace(RULE, code="S902")
    assert collect([other, RULE]) == (RULE, other)


def test_rules_are_sorted_by_code() -> None:
    first = replace(RULE, code="M001", name="other")
    assert collect([RULE, first]) == (first, RULE)


CLASHES = {
    "a code twice": (
        {"name": "other"},
        "two rules have the code S901: made-up, other",
    ),
    "a code without family": (
        {"code": "Z901", "name": "other"},
        "'Z901' (other) is not a valid code of a rule",
    ),
    "a code too short": (
        {"code": "S91", "name": "other"},
        "'S91' (other) is not a valid code of a rule",
    ),
}


@pytest.mark.parametrize(("change", "message"), CLASHES.values(), ids=CLASHES.keys())
def test_rules_that_clash_are_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        collect([RULE, replace(RULE, **change)])  # type: ignore[arg-type]


def test_the_page_is_deterministic() -> None:
    assert render_page(catalogue()) == render_page(list(catalogue()))


def test_the_page_has_its_families_in_order() -> None:
    page = render_page(catalogue())
    titles = [f"## {letter}: {title}" for letter, title in FAMILIES.items()]
    assert [line for line in page.splitlines() if line.startswith("## ")] == titles


def test_the_section_of_a_rule() -> None:
    page = render_page([RULE])
    assert page.partition("## S: ")[2] == (
        "The grammar of streams\n"
        "\n"
        "| code | name | detects |\n"
        "|---|---|---|\n"
        "| [S901](#s901-made-up) | made-up | Two \\| bars. |\n"
        "\n"
        "### S901 made-up\n"
        "\n"
        "- **What it detects:** Two | bars.\n"
        "- **Why it matters:** A client.\n"
        "- **What wiremend does:** One bar.\n"
        "- **Protocols:** responses, gemini\n"
        "- **Seen:** [anomalyco/opencode#21979]"
        "(https://github.com/anomalyco/opencode/issues/21979), "
        "<https://example.com/a>, a provider\n"
        "\n"
        "Before:\n"
        "\n"
        "````text\n"
        "data: ```\n"
        "\n"
        "````\n"
        "\n"
        "After:\n"
        "\n"
        "```text\n"
        "data: x\n"
        "```\n"
    )


def test_a_rule_without_examples_has_no_empty_parts() -> None:
    page = render_page(
        [Rule(code="E901", name="bare", detects="A.", impact="B.", action="C.", protocols=())]
    )
    assert page.endswith(
        "- **What it detects:** A.\n- **Why it matters:** B.\n- **What wiremend does:** C.\n"
    )


@pytest.fixture(scope="module")
def generator() -> Any:
    """scripts/rules_page.py."""
    path = Path(__file__).resolve().parents[1] / "scripts" / "rules_page.py"
    spec = importlib.util.spec_from_file_location("rules_page", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_in_the_repository_is_up_to_date(generator: Any) -> None:
    """If this fails, run `scripts/rules`."""
    assert generator.PAGE.read_bytes() == generator.page().encode()


WITHOUT_EXAMPLE = re.compile(r"R\d+|F00[23]|M00[235]|E00[25]|S00[146]|Q103|Q204|T30[257]")
"""Rules on events in time rather than on bytes."""


@each_rule
def test_a_rule_on_bytes_has_an_example(rule: Rule, generator: Any) -> None:
    if not WITHOUT_EXAMPLE.fullmatch(rule.code):
        assert rule.before or dict(generator.corpus_examples())[rule.code][0]


@pytest.mark.parametrize("dialect", DIALECT_RULES)
def test_the_example_of_a_dialect_is_its_conversion(dialect: str) -> None:
    rule = DIALECT_RULES[dialect]
    converted = convert_schema(orjson.loads(rule.before), DIALECTS[dialect])
    assert orjson.dumps(converted).decode() == rule.after
