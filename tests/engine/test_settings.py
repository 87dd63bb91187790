"""What is known and configured about a target is looked up once for each configuration."""

from dataclasses import replace

import pytest
from wiremend.engine.settings import Settings
from wiremend.protocols.base.names import WireProtocol
from wiremend.routing.providers import ProviderAddress
from wiremend.targets.registry import deviations_at, leaked_formats, traits_of

CHAT = WireProtocol.CHAT_COMPLETIONS
HOST, MODEL = "api.deepseek.com", "deepseek-chat"
OWN = ProviderAddress("own", f"https://{HOST}", max_output_tokens=9, leaked_formats=("hermes",))


def test_a_target_is_looked_up_once() -> None:
    settings = Settings()
    facts = settings.facts_of(CHAT, HOST, HOST, MODEL)
    assert facts.traits == traits_of(CHAT, HOST, MODEL)
    assert facts.leaked_formats == leaked_formats(CHAT, HOST, MODEL)
    assert settings.facts_of(CHAT, HOST, HOST, MODEL) is facts
    deviations = settings.deviations_at(CHAT, HOST)
    assert deviations == deviations_at(CHAT, HOST)
    assert settings.deviations_at(CHAT, HOST) is deviations


def test_another_configuration_has_other_facts() -> None:
    settings = Settings()
    before = settings.facts_of(CHAT, HOST, HOST, MODEL)
    changed = replace(settings, providers={"own": OWN})
    after = changed.facts_of(CHAT, HOST, HOST, MODEL)
    assert before.traits.messages.max_output_tokens is None
    assert after.traits.messages.max_output_tokens == 9
    assert after.provider == OWN
    assert after.leaked_formats == ("hermes",)


@pytest.mark.parametrize(
    ("host", "model"),
    [
        ("{number}.example", MODEL),
        (HOST, "model-{number}"),
    ],
)
def test_what_clients_choose_does_not_fill_the_memory(host: str, model: str) -> None:
    settings = Settings()
    for number in range(1000):
        at, name = host.format(number=number), model.format(number=number)
        assert settings.facts_of(CHAT, at, at, name).traits == traits_of(CHAT, at, name)
        settings.deviations_at(CHAT, at)
    assert len(settings._facts) < 1000
    assert len(settings._deviations) < 1000


def test_a_long_name_is_not_kept() -> None:
    settings = Settings()
    settings.facts_of(CHAT, HOST, HOST, "x" * 1000)
    settings.deviations_at(CHAT, "x" * 1000)
    assert not settings._facts
    assert not settings._deviations
