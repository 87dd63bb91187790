"""A request as it is adapted to a target, and the request that is sent."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from wiremend.protocols.base.message_rules.words import LONE_SURROGATES, words_of
from wiremend.protocols.base.protocol import Protocol
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, parse_noting_surrogates
from wiremend.value_class import value_class

type Headers = tuple[tuple[str, str], ...]
"""Names and values, in order."""


@dataclass(frozen=True)
class RequestBody:
    """The body of a request; parsed at most once, when it is first needed."""

    raw: bytes = field(repr=False)
    """Without content codings; empty if they cannot be decoded."""

    @classmethod
    def parsed(cls, raw: bytes, fields: dict[str, Any], may_have_lone_surrogates: bool) -> Self:
        """Return a body that need not be parsed."""
        body = cls(raw)
        body.__dict__["_parsed"] = fields, may_have_lone_surrogates
        return body

    @cached_property
    def _parsed(self) -> tuple[dict[str, Any] | None, bool]:
        try:
            value, may_have_lone_surrogates = parse_noting_surrogates(self.raw)
        except ValueError:
            return None, False
        return value if isinstance(value, dict) else None, may_have_lone_surrogates

    @property
    def fields(self) -> dict[str, Any] | None:
        """The parsed JSON object, not to be modified; None if the body is not a JSON object."""
        return self._parsed[0]

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of the parsed object: see `message_rules.words`. Empty if there is none."""
        fields, may_have_lone_surrogates = self._parsed
        words = frozenset[str]() if fields is None else words_of(fields)
        return words | {LONE_SURROGATES} if may_have_lone_surrogates else words

    def edits(self) -> Edits:
        """Return an empty collection of edits of the body."""
        return Edits(self.raw, may_have_lone_surrogates=self._parsed[1])


@value_class
class RequestDocument:
    """The request of a model call in one protocol. A change returns a new document.

    Documents that differ only in path or headers share their parsed body.
    """

    protocol: Protocol
    path: str
    """The path on the request line, with its query."""
    headers: Headers = field(repr=False)
    content: RequestBody = field(repr=False)
    tool_names_by_sent: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """The client's name of each renamed tool, by the name in the body."""

    @classmethod
    def of(cls, protocol: Protocol, path: str, body: bytes, headers: Headers = ()) -> Self:
        """Create a document; the body is not parsed yet."""
        return cls(protocol, path, headers, RequestBody(body))

    @property
    def body(self) -> bytes:
        """The body's bytes, without content codings."""
        return self.content.raw

    @property
    def fields(self) -> dict[str, Any] | None:
        """The parsed body, not to be modified; None if it is not a JSON object."""
        return self.content.fields

    @property
    def words(self) -> frozenset[str]:
        """What occurs in the parsed body: see `message_rules.words`."""
        return self.content.words

    def with_headers(self, headers: Headers, path: str | None = None) -> Self:
        """Return the same request with other headers, and with another path unless it is None."""
        return type(self)(  # quicker than `replace`, and several times for each call
            self.protocol,
            self.path if path is None else path,
            headers,
            self.content,
            self.tool_names_by_sent,
        )

    def edited(
        self, edits: Edits, *, tool_names_by_sent: Mapping[str, str] = MappingProxyType({})
    ) -> Self:
        """Return the document with these edits applied to its body; itself without edits.

        `tool_names_by_sent` contains the client's name of each tool that the edits rename, by
        its new name.
        """
        body = edits.apply()
        if body is self.body:
            return self
        names = {**self.tool_names_by_sent, **tool_names_by_sent}
        return replace(self, content=RequestBody(body), tool_names_by_sent=names)

    def with_member(self, name: str, value: Any) -> Self:
        """Return the document with another value of an existing member of its body.

        The new body is not parsed.
        """
        edits = self.content.edits()
        edits.replace((name,), json_value.write(value))
        fields = {**(self.fields or {}), name: value}
        content = RequestBody.parsed(edits.apply(), fields, edits.may_have_lone_surrogates)
        return replace(self, content=content)


@value_class
class OutgoingRequest:
    """A request, adapted to one of its targets."""

    provider: str
    """The configured provider's name, or the server's; in error messages, and for lessons."""
    model: str
    scheme: str
    host: str
    port: int
    document: RequestDocument
    is_configured: bool = False
    """Whether `provider` is the name of a configured provider."""
    tls_name: str = ""
    """The server name that TLS verifies, if it is not the host."""

    def for_model(self, model: str) -> "OutgoingRequest":
        """Return the same request for another model; only this field changes."""
        return OutgoingRequest(  # quicker than `replace`, and once for each call
            self.provider,
            model,
            self.scheme,
            self.host,
            self.port,
            self.document,
            self.is_configured,
            self.tls_name,
        )

    def with_document(self, document: RequestDocument) -> "OutgoingRequest":
        """Return the same request with another document."""
        return OutgoingRequest(  # as above
            self.provider,
            self.model,
            self.scheme,
            self.host,
            self.port,
            document,
            self.is_configured,
            self.tls_name,
        )

    def sends_same(self, other: "OutgoingRequest") -> bool:
        """Return whether both are the same bytes to the same address."""
        if self is other:
            return True
        return (
            self.document is other.document
            and self.host == other.host
            and self.port == other.port
            and self.scheme == other.scheme
        )

    @property
    def identity(self) -> Hashable:
        """What the request is really sent to, whatever its headers contain.

        A configured provider differs from any other at its address, which may have other keys.
        """
        name = self.provider if self.is_configured else None
        return name, self.scheme.lower(), self.host.lower(), self.port, self.tls_name.lower()

    @property
    def path(self) -> str:
        """The path on the request line, with its query."""
        return self.document.path

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return self.document.headers

    @property
    def body(self) -> bytes:
        """The body's bytes, without content codings."""
        return self.document.body
