"""Overwriting a request with the one for a target, and the headers on the way (contract 19)."""

import gzip
from dataclasses import replace
from typing import Any

import pytest
from mitmproxy import http
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.document import OutgoingRequest, RequestBody
from wiremend.seam.flows import (
    address_request,
    addressed_copy,
    body_of,
    document_of,
    outgoing_of,
)

FIELDS = (
    (b"Host", b"api.example.com"),
    (b"X-Title", b"caf\xe9"),
    (b"x-TWICE", b"1"),
    (b"X-Bytes", bytes(range(0x80, 0x100))),
    (b"x-twice", "é".encode()),
    (b"x-n\xe4me", b""),
)


def with_document(outgoing: OutgoingRequest, **fields: Any) -> OutgoingRequest:
    return replace(outgoing, document=replace(outgoing.document, **fields))


def make_request(fields: tuple[tuple[bytes, bytes], ...], content: bytes) -> http.Request:
    request = http.Request.make("POST", "https://api.example.com/v1/messages", content)
    request.headers = http.Headers(fields)
    request.trailers = http.Headers([(b"x-note", b"1")])
    return request


def address(request: http.Request, outgoing: OutgoingRequest) -> None:
    """Overwrite the request; a copy that is made in one step must be the same."""
    before = request.get_state()
    duplicate = addressed_copy(request, outgoing)
    assert request.get_state() == before
    address_request(request, outgoing)
    assert duplicate.get_state() == request.get_state()


@pytest.mark.parametrize("host", ["api.example.com", "other.example.com"])
def test_header_fields_keep_their_bytes_order_and_case(host: str) -> None:
    """Contract 19."""
    request = make_request((*FIELDS, (b"Content-Length", b"2")), b"{}")
    address(request, replace(outgoing_of(request, ANTHROPIC, "m"), host=host))
    assert request.headers.fields == (*FIELDS, (b"Content-Length", b"2"))
    assert request.host == host
    assert (request.trailers is None) == (host == "other.example.com")


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", b"{}"),
        ("br", b"{}"),
        ("gzip, unknown", gzip.compress(b"{}", mtime=0)),
        ("utf-8", b"{}"),
    ],
)
def test_a_body_that_cannot_be_decoded_is_never_changed(coding: str, content: bytes) -> None:
    fields = ((b"content-encoding", coding.encode()), (b"content-length", b"%d" % len(content)))
    request = make_request(fields, content)
    assert body_of(request) is None
    outgoing = outgoing_of(request, ANTHROPIC, "m")
    outgoing = with_document(outgoing, path="/other")
    address(request, replace(outgoing, host="other.example.com"))
    assert request.raw_content == content
    assert request.headers.fields == fields
    assert request.path == "/other"


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "identity, gzip", "gzip, gzip"])
def test_a_coded_body_is_sent_without_coding_if_body_or_host_changes(coding: str) -> None:
    content = gzip.compress(b"{}")
    if coding == "gzip, gzip":
        content = gzip.compress(content)
    fields = ((b"content-encoding", coding.encode()), (b"content-length", b"%d" % len(content)))

    same = make_request(fields, content)
    address(same, outgoing_of(same, ANTHROPIC, "m"))
    assert (same.raw_content, same.headers.fields) == (content, fields)

    changed = make_request(fields, content)
    outgoing = outgoing_of(changed, ANTHROPIC, "m")
    address(changed, with_document(outgoing, content=RequestBody(b'{"a":1}')))
    assert (changed.raw_content, changed.headers.fields) == (
        b'{"a":1}',
        ((b"content-length", b"7"),),
    )

    elsewhere = make_request(fields, content)
    address(elsewhere, replace(outgoing_of(elsewhere, ANTHROPIC, "m"), host="other.example.com"))
    assert (elsewhere.raw_content, elsewhere.headers.fields) == (
        b"{}",
        ((b"content-length", b"2"),),
    )


def test_a_document_contains_the_current_body() -> None:
    request = make_request((), gzip.compress(b'{"model":"m"}'))
    assert document_of(request, ANTHROPIC).fields is None
    request.headers["content-encoding"] = "gzip"
    assert document_of(request, ANTHROPIC).fields == {"model": "m"}
    request.content = b'{"model":"n"}'
    assert document_of(request, ANTHROPIC).fields == {"model": "n"}


def test_a_host_header_names_neither_the_provider_nor_the_target() -> None:
    request = make_request(((b"Host", b"api.anthropic.com"),), b"{}")
    honest = make_request(((b"Host", b"api.example.com"),), b"{}")
    outgoing = outgoing_of(request, ANTHROPIC)
    assert outgoing.provider == "api.example.com"
    assert outgoing.identity == outgoing_of(honest, ANTHROPIC).identity


@pytest.mark.parametrize(
    ("host", "tls_name", "provider"),
    [
        ("api.example.com", "", "api.example.com"),
        ("api.example.com", "forged.example.com", "api.example.com"),
        ("192.0.2.1", "api.example.com", "api.example.com"),
        ("192.0.2.1", "", "192.0.2.1"),
    ],
)
def test_a_server_without_a_name_is_called_by_the_name_that_its_certificate_has(
    host: str, tls_name: str, provider: str
) -> None:
    request = make_request(((b"Host", b"api.anthropic.com"),), b"{}")
    request.host = host
    outgoing = outgoing_of(request, ANTHROPIC, tls_name=tls_name)
    assert outgoing.provider == provider
    assert (outgoing.identity == outgoing_of(request, ANTHROPIC).identity) is not bool(tls_name)
