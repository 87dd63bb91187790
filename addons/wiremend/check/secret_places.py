"""Where a recording contains secrets or identities: their places and kinds, never their values.

Three ways, since each misses what the others find: by the name of a header or parameter, by the
place in a body, and by the form of a value. Credentials of a request are also searched for
wherever else they occur.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from wiremend.body_secrets import credentials_in
from wiremend.identities import (
    IDENTITY_HEADERS,
    KEY_FORMS,
    field_ids,
    header_ids,
    is_stand_in,
    texts_at_identities,
)
from wiremend.recording.exchange import Headers, Message
from wiremend.rules.rule import BodyPlace, Rule
from wiremend.secrets import REDACTED, is_secret_header, is_secret_parameter, secret_values
from wiremend.text import json_value, sse
from wiremend.text.body_form import BodyForm, form_of

CREDENTIAL = Rule(
    code="secret-credential",
    name="credential",
    detects="A header, parameter or field contains a credential.",
    impact="Whoever has the file can use it.",
    action="Record with `scripts/record`, or remove it.",
    protocols=(),
)
COPY = Rule(
    code="secret-copy",
    name="copy-of-credential",
    detects="The credential of the request occurs in another place.",
    impact="Whoever has the file can use it.",
    action="Record with `scripts/record`, or remove it.",
    protocols=(),
)
KEY = Rule(
    code="secret-key",
    name="key",
    detects="A text has the form of a key, such as `sk-ant-...`.",
    impact="Whoever has the file may be able to use it.",
    action="Record with `scripts/record`, or remove it.",
    protocols=(),
)
IDENTITY = Rule(
    code="secret-identity",
    name="identity",
    detects="A header or field identifies an account, an installation or a session.",
    impact="The file shows who recorded it.",
    action="Record with `scripts/record`, or remove it.",
    protocols=(),
)
SECRET_RULES = (CREDENTIAL, COPY, KEY, IDENTITY)

_BRACKETS = "[](){}<>*"
_PLACEHOLDERS = ("", "redacted", "filtered", "removed")
_PLACES_LIMIT = 100
"""The number of places of one kind in one message."""
_FORM_BYTES = 256


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is."""

    rule: Rule
    message: str
    """The name of the message, such as `request`."""
    place: str
    """Such as `header x-api-key` or `event 12`."""


def secret_places(messages: Sequence[Message]) -> list[SecretPlace]:
    """Return where the messages of one flow contain secrets."""
    values = frozenset[str]().union(*(_credentials(message) for message in messages))
    encoded = sorted(value.encode("utf-8", "surrogateescape") for value in values)
    return [place for message in messages for place in _places(message, encoded)]


def _credentials(message: Message) -> frozenset[str]:
    fields = [field for field in message.headers if not _is_placeholder(field[1])]
    return secret_values(fields, message.path)


def _is_placeholder(value: str) -> bool:
    """Return whether a value was redacted, by wiremend or another recorder."""
    last_word = value.strip().rpartition(" ")[2]
    return REDACTED in value or last_word.strip(_BRACKETS).lower() in _PLACEHOLDERS


def _places(message: Message, values: Sequence[bytes]) -> Iterator[SecretPlace]:
    for rule, place in (
        *_in_headers(message.headers, values),
        *_in_path(message.path),
        *_in_body(message.body, values),
    ):
        yield SecretPlace(rule, message.name, place)


def _in_headers(headers: Headers, values: Sequence[bytes]) -> Iterator[tuple[Rule, str]]:
    for name, value in headers:
        if _is_placeholder(value):
            continue
        data = value.encode("utf-8", "surrogateescape")
        if name.lower() in IDENTITY_HEADERS:
            if not all(map(is_stand_in, header_ids(name, value))):
                yield IDENTITY, f"header {name}"
        elif is_secret_header(name):
            yield CREDENTIAL, f"header {name}"
        elif any(known in data for known in values):
            yield COPY, f"header {name}"
        elif KEY_FORMS.search(data):
            yield KEY, f"header {name}"


def _in_path(path: str) -> Iterator[tuple[Rule, str]]:
    try:
        query = urlsplit(path).query
    except ValueError:
        return
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if value and is_secret_parameter(name) and not _is_placeholder(value):
            yield CREDENTIAL, f"parameter {name}"


def _in_body(body: bytes, values: Sequence[bytes]) -> Iterator[tuple[Rule, str]]:
    if not body:
        return
    if form_of(body[:_FORM_BYTES]) is BodyForm.EVENTS:
        decoder = sse.Decoder()
        for number, event in enumerate((*decoder.feed(body), *decoder.end()), 1):
            for rule, _ in _in_text(event.raw, values):
                yield rule, f"event {number}"
        return
    if form_of(body[:_FORM_BYTES]) is BodyForm.OBJECT:
        yield from _in_fields(body)
    yield from _in_text(body, values)


def _in_fields(body: bytes) -> Iterator[tuple[Rule, str]]:
    try:
        fields = json_value.read(body)
    except ValueError:
        return
    for credential in credentials_in(fields if isinstance(fields, dict) else None):
        if not _is_placeholder(str(credential.value)):
            yield CREDENTIAL, f"field {BodyPlace(credential.path)}"
    found = (
        place
        for place, text in texts_at_identities(fields)
        if not _is_placeholder(text) and not all(map(is_stand_in, field_ids(place, text)))
    )
    for place in dict.fromkeys(found):
        yield IDENTITY, place


def _in_text(text: bytes, values: Sequence[bytes]) -> Iterator[tuple[Rule, str]]:
    for known in values:
        at = text.find(known)
        if at >= 0:
            yield COPY, f"byte {at}"
            break
    for count, found in enumerate(KEY_FORMS.finditer(text)):
        if count == _PLACES_LIMIT:
            break
        yield KEY, f"byte {found.start()}"
