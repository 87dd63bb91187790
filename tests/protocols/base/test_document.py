"""Documents of requests: the body is parsed once and shared; edits create a new document."""

from dataclasses import replace

import pytest
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import RequestBody, RequestDocument
from wiremend.text.json_edits import Edits


def document(body: bytes) -> RequestDocument:
    return RequestDocument.of(ANTHROPIC, "/v1/messages", body, (("x-a", "1"),))


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'"{}"', b"null", b"{}{}"])
def test_only_a_json_object_has_fields(body: bytes) -> None:
    assert document(body).fields is None


def test_a_body_is_parsed_once() -> None:
    request = document(b'{"model":"m"}')
    assert request.fields == {"model": "m"}
    assert request.fields is request.fields


def test_a_document_with_another_head_shares_the_parsed_body() -> None:
    request = document(b'{"model":"m"}')
    moved = replace(request, path="/v2/messages", headers=())
    assert moved.fields is request.fields


def test_without_edits_the_same_document_is_returned() -> None:
    request = document(b'{"model":"m"}')
    assert request.edited(Edits(request.body)) is request


def test_an_edited_document_keeps_its_head_and_has_new_fields() -> None:
    request = document(b'{"model":"m", "n":1.0}')
    edits = Edits(request.body)
    edits.replace(("model",), b'"other"')
    edited = request.edited(edits)
    assert edited.body == b'{"model":"other", "n":1.0}'
    assert edited.fields == {"model": "other", "n": 1.0}
    assert request.fields == {"model": "m", "n": 1.0}
    assert (edited.protocol, edited.path, edited.headers) == (
        ANTHROPIC,
        "/v1/messages",
        (("x-a", "1"),),
    )


def test_the_names_of_renamed_tools_accumulate() -> None:
    request = document(b'{"a":1,"b":2}')
    for key in ("a", "b"):
        edits = Edits(request.body)
        edits.replace((key,), b"3")
        request = request.edited(edits, tool_names_by_sent={f"{key}_sent": key})
    assert request.tool_names_by_sent == {"a_sent": "a", "b_sent": "b"}


def test_a_repr_contains_no_secrets() -> None:
    request = RequestDocument.of(ANTHROPIC, "/", b'{"a":"secret"}', (("x-api-key", "secret"),))
    assert "secret" not in repr(request)


BODIES = {
    "plain": b'{ "model" : "m", "stream":true}',
    "the member twice": b'{"model":"a","n":1,"model":"b"}',
    "an escaped key": b'{"mod\\u0065l":"a","x":{"model":"kept"}}',
    "a lone surrogate": b'{"x":"\\ud83d","model":"m"}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_member_is_set_in_the_body_and_in_its_fields(body: bytes) -> None:
    document = RequestDocument.of(ANTHROPIC, "/v1/messages", body)
    changed = document.with_member("model", "né")
    assert changed.fields == RequestBody(changed.body).fields
    assert changed.fields is not None
    assert changed.fields["model"] == "né"
    assert document.fields == RequestBody(body).fields, "the original is not changed"
    surrogates = changed.content.edits().may_have_lone_surrogates
    assert surrogates == RequestBody(changed.body).edits().may_have_lone_surrogates
