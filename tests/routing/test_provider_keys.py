"""The keys of a provider with several: which one a conversation uses, and which drop out."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestDocument
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.routing.provider_keys import CallKeys, KeyRing, ProviderKeys, conversation_of
from wiremend.routing.providers import ProviderAddress, redirect

KEYS = ("key-one", "key-two", "key-three")
PROTOCOLS = (ANTHROPIC, CHAT, RESPONSES, GEMINI)


def request(
    body: Mapping[str, Any], headers: Headers = (), protocol: Protocol = ANTHROPIC
) -> OutgoingRequest:
    document = RequestDocument.of(protocol, "/v1/messages", orjson.dumps(body), headers)
    return OutgoingRequest("a.example", "m", "https", "a.example", 443, document)


def said(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


ANSWER = {"role": "assistant", "content": "Hi."}
SAME = {
    "a header": (
        request({"messages": [said("a")]}, (("X-Claude-Code-Session-Id", "s"),)),
        request({"messages": [said("b")]}, (("x-claude-code-session-id", "s"),)),
    ),
    "a field": (
        request({"metadata": {"user_id": "s"}, "messages": [said("a")]}),
        request({"metadata": {"user_id": "s"}, "messages": [said("b")]}),
    ),
    "the key of a cache": (
        request({"prompt_cache_key": "s", "input": "a"}),
        request({"prompt_cache_key": "s", "input": "b"}),
    ),
    "the beginning, whose mark for the cache has moved": (
        request({"messages": [said("a", cache_control={"type": "ephemeral"})]}),
        request({"messages": [said("a"), ANSWER, said("b")]}),
    ),
    "the beginning behind a system message": (
        request({"messages": [{"role": "system", "content": "Day 1"}, said("a")]}),
        request({"messages": [{"role": "system", "content": "Day 2"}, said("a"), ANSWER]}),
    ),
    "Gemini's beginning": (
        request({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}),
        request({"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model"}]}),
    ),
    "nothing": (request({}), request({"messages": []})),
}


@pytest.mark.parametrize("name", SAME)
def test_the_turns_of_a_conversation_are_one(name: str) -> None:
    first, second = SAME[name]
    assert conversation_of(first) == conversation_of(second)


DIFFERENT = [
    request({"messages": [said("a")]}, (("session_id", "s"),)),
    request({"messages": [said("a")]}, (("session_id", "t"),)),
    request({"metadata": {"user_id": "u"}, "messages": [said("a")]}),
    request({"messages": [said("a")]}),
    request({"messages": [said("b")]}),
    request({"input": "c"}),
    request({"messages": "odd"}),
    request({"messages": [{"role": "user", "content": [{"type": "image"}]}]}),
    request({}),
]


def test_other_conversations_are_others() -> None:
    assert len({*map(conversation_of, DIFFERENT)}) == len(DIFFERENT)


def test_conversations_are_spread_over_the_keys_and_keep_theirs() -> None:
    ring = KeyRing(KEYS)
    first = {n: ring.order(b"%d" % n)[0] for n in range(60)}
    assert {*first.values()} == {0, 1, 2}
    assert {n: KeyRing(KEYS).order(b"%d" % n)[0] for n in range(60)} == first
    ring.take_out([1])
    after = {n: ring.order(b"%d" % n)[0] for n in range(60)}
    assert 1 not in after.values()
    assert {n: key for n, key in after.items() if first[n] != 1} == {
        n: key for n, key in first.items() if key != 1
    }


def keys_of(ring: KeyRing) -> CallKeys:
    return CallKeys(ring, b"conversation")


def test_a_key_drops_out_only_when_another_one_was_accepted() -> None:
    ring = KeyRing(KEYS)
    order = ring.order(b"conversation")
    keys = keys_of(ring)
    assert keys.move_on()
    assert ring.order(b"conversation") == order
    keys.accepted()
    assert ring.order(b"conversation") == order[1:]


def test_the_last_key_stays() -> None:
    ring = KeyRing(KEYS)
    keys = keys_of(ring)
    assert [keys.move_on(), keys.move_on(), keys.move_on()] == [True, True, False]
    assert len(ring.order(b"")) == 3
    keys.accepted()
    assert len(ring.order(b"")) == 1
    ring.take_out([0, 1, 2])
    assert len(ring.order(b"")) == 1
    assert not keys_of(ring).move_on()


def addresses(*keys: str) -> dict[str, ProviderAddress]:
    return {"p": ProviderAddress("p", "https://p.example", keys[0], more_keys=keys[1:])}


def test_another_configuration_makes_all_keys_usable() -> None:
    known, providers = ProviderKeys(), addresses(*KEYS)
    known.configure(providers)
    before = known.of("p", b"c")
    assert before is not None
    before.move_on()
    before.accepted()
    known.configure(providers)
    after = known.of("p", b"c")
    assert after is not None
    assert after.name == before.name
    known.configure(addresses(*KEYS))
    renewed = known.of("p", b"c")
    assert renewed is not None
    assert renewed.name != before.name
    before.move_on()
    before.accepted()  # of the old configuration
    assert (late := known.of("p", b"c")) is not None
    assert late.name == renewed.name


@pytest.mark.parametrize("keys", [("only",), ("",)])
def test_a_provider_without_several_keys_has_none_to_choose(keys: tuple[str, ...]) -> None:
    known = ProviderKeys()
    known.configure(addresses(*keys))
    assert (known.of("p", b"c"), known.of("q", b"c"), known.has("p")) == (None, None, False)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_the_current_key_replaces_the_one_in_the_request(protocol: Protocol) -> None:
    (provider,) = addresses(*KEYS).values()
    client = (("authorization", "Bearer client"), ("x-api-key", "client"), ("accept", "*/*"))
    sent = redirect(request({}, client, protocol), provider)
    keys = keys_of(KeyRing(KEYS))
    seen = []
    for _ in KEYS:
        headers = dict(keys.applied_to(sent).headers)
        seen.append(headers.pop(protocol.key_header.name))
        assert headers == {"accept": "*/*", "host": "p.example"}
        keys.move_on()
    assert sorted(seen) == sorted(map(protocol.key_header.value, KEYS))


def test_keys_are_not_in_the_texts_of_values() -> None:
    keys = keys_of(KeyRing(KEYS))
    (provider,) = addresses(*KEYS).values()
    assert not [key for key in KEYS if key in repr((keys, keys.name, provider))]
    assert keys.name in ("key 1 of 3", "key 2 of 3", "key 3 of 3")
