"""Rules that are disabled for a provider or a route are so for calls to that target only."""

import pytest
from corpus_streams import broken_streams
from wiremend.catalogue import catalogue
from wiremend.config.load import ConfigError, parse_config
from wiremend.config.settings import settings_of
from wiremend.engine.actions import Head
from wiremend.engine.call import Call
from wiremend.engine.plan import plan_call
from wiremend.engine.settings import Feature, Knowledge
from wiremend.engine.unrepaired.reporting import ResponseObserver
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.registry import PROTOCOLS

HEAD = Head(200, ((b"content-type", b"text/event-stream"),))
BODY = (
    b'{"model":"gpt-5","stream":true,"messages":[],"tools":[{"type":"function","function":'
    b'{"name":"a","parameters":{"properties":{"x":{"type":"string"}}}}}]}'
)
CODES = tuple(rule.code for rule in catalogue())
PROVIDERS = """
[providers.openai]
base_url = "https://api.openai.com"
{openai}
[providers.other]
base_url = "https://other.example"
{other}
"""
TO_OTHER = '[[models]]\nmatch = "*"\nprovider = "other"\nfallback = ["openai/gpt-5"]\n'


def planned(configuration: str) -> Call:
    """Plan a call to OpenAI whose tools need to be adapted."""
    protocol = PROTOCOLS[WireProtocol.CHAT_COMPLETIONS]
    headers = (("content-type", "application/json"),)
    document = RequestDocument.of(protocol, "/v1/chat/completions", BODY, headers)
    received = OutgoingRequest("api.openai.com", "", "https", "api.openai.com", 443, document)
    settings = settings_of(parse_config(configuration, "x", {}, CODES), CODES)
    call = plan_call(received, frozenset(Feature), settings, Knowledge())
    assert call is not None
    return call


def families_found(configuration: str) -> set[str]:
    """Return the families of the rules that find something in a request and its response."""
    call = planned(configuration)
    stream = next(one for one in broken_streams(WireProtocol.CHAT_COMPLETIONS) if one.codes)
    observer = ResponseObserver(call)
    observer.start()
    observer.connected()
    observer.head(HEAD)
    for _ in observer.body(stream.path.read_bytes()):
        pass
    observer.end()
    return {finding.code[0] for finding in (*call.findings, *observer.machine.findings)} - {"M"}


def with_providers(models: str = "", *, openai: str = "", other: str = "") -> str:
    return models + PROVIDERS.format(openai=openai, other=other)


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        ("", {"S", "T"}),
        (with_providers(), {"S", "T"}),
        (with_providers(openai='disable = ["S"]'), {"T"}),
        (with_providers(openai='disable = ["T"]'), {"S"}),
        (with_providers(openai='disable = ["S", "T"]'), set()),
        (with_providers(other='disable = ["S", "T"]'), {"S", "T"}),
        (with_providers(TO_OTHER, other='disable = ["S", "T"]'), set()),
        (with_providers(TO_OTHER, openai='disable = ["S", "T"]'), {"S", "T"}),
        ('[[models]]\nmatch = "gpt-*"\ndisable = ["S"]\n', {"T"}),
        ('[[models]]\nmatch = "gpt-*"\ndisable = ["T"]\n', {"S"}),
        ('[[models]]\nmatch = "kimi-*"\ndisable = ["T"]\n', {"S", "T"}),
        ('[rules]\ndisable = ["S"]\n[[models]]\nmatch = "*"\ndisable = ["T"]\n', set()),
        (with_providers(TO_OTHER + 'disable = ["S"]\n', other='disable = ["T"]'), set()),
    ],
)
def test_rules_are_disabled_for_a_target(configuration: str, found: set[str]) -> None:
    assert families_found(configuration) == found


def test_a_fallback_has_the_rules_of_its_own_provider() -> None:
    call = planned(with_providers(TO_OTHER, other='disable = ["S", "T"]'))
    assert call.adapted is not None
    first, second = (call.adapted.at(number).request.body for number in (0, 1))
    tools = BODY[BODY.index(b'"tools"') :]
    assert (tools in first, tools in second) == (True, False)
    stream_rules = frozenset(code for code in CODES if code.startswith("S"))
    assert stream_rules <= call.context_at(0).disabled
    assert not stream_rules & call.context_at(1).disabled


def test_a_translated_call_has_the_rules_of_its_provider() -> None:
    call = planned(with_providers(TO_OTHER, other='protocol = "anthropic"\ndisable = ["S", "X"]'))
    expected = frozenset(code for code in CODES if code.startswith(("S", "X")))
    translation = call.targets[0].translation
    assert translation is not None
    assert expected <= translation.context.disabled
    assert expected <= call.context_at(0).disabled


@pytest.mark.parametrize(
    ("configuration", "problem"),
    [
        (
            with_providers(openai='disable = ["S999"]'),
            "x: providers.openai.disable[0]: there is no rule on requests and responses 'S999'",
        ),
        (
            '[[models]]\nmatch = "*"\ndisable = ["S105", "M001"]\n',
            "x: models[0].disable[1]: there is no rule on requests and responses 'M001'",
        ),
        (
            '[[models]]\nmatch = "*"\ndisable = ["S1x5"]\n',
            "x: models[0].disable[0]: expected a rule's code or its beginning",
        ),
        ('[rules]\nmode = "observe"\n', "x: rules.mode: expected 'repair' or 'report'"),
    ],
)
def test_a_code_that_cannot_be_meant_is_refused(configuration: str, problem: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(configuration, "x", {}, CODES)
    assert problem in str(refused.value)
