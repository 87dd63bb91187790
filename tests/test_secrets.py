"""Which headers, parameters and values are secrets, and redacting them."""

from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.secrets import (
    SECRETS_LIMIT,
    Redactor,
    is_secret_header,
    is_secret_parameter,
    masked,
    redacted_path,
    redacted_value,
    secret_values,
    without_quoted_bytes,
)

KEY = "sk-ant-0123456789"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Authorization", True),
        ("proxy-authorization", True),
        ("x-api-key", True),
        ("X-Goog-Api-Key", True),
        ("api-key", True),
        ("cookie", True),
        ("Set-Cookie", True),
        ("ChatGPT-Account-ID", True),
        ("x-portkey-api-key", True),
        ("helicone-auth", True),
        ("cf-aig-authorization", True),
        ("ocp-apim-subscription-key", True),
        ("x-amz-security-token", True),
        ("DPoP", True),
        ("authentication", True),
        ("x-service-authentication", True),
        ("Cf-Access-Jwt-Assertion", True),
        ("x-goog-iap-jwt-assertion", True),
        ("x-jwt", True),
        ("x-jwt-payload", True),
        ("anthropic-organization-id", True),
        ("www-authenticate", False),
        ("proxy-authenticate", False),
        ("content-type", False),
        ("user-agent", False),
        ("idempotency-key", False),
        ("sec-websocket-key", False),
        ("anthropic-ratelimit-tokens-remaining", False),
        ("x-ratelimit-limit-tokens", False),
        ("author", False),
        ("monkey", False),
    ],
)
def test_secret_headers_are_recognised_by_name(name: str, expected: bool) -> None:
    assert is_secret_header(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("key", True),
        ("KEY", True),
        ("%6bey", True),
        ("api_key", True),
        ("access_token", True),
        ("X-Goog-Signature", True),
        ("alt", False),
        ("pageToken", False),
        ("monkey", False),
    ],
)
def test_secret_parameters_are_recognised_by_name(name: str, expected: bool) -> None:
    assert is_secret_parameter(name) is expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("authorization", f"Bearer {KEY}", "Bearer REDACTED"),
        ("Authorization", f"bearer  {KEY}", "bearer  REDACTED"),
        ("authorization", "Basic dTpw", "Basic REDACTED"),
        ("x-api-key", KEY, "REDACTED"),
        ("cookie", "a=1; b=2", "REDACTED"),
        ("x-api-key", "", ""),
        ("user-agent", "claude-cli/2.0", "claude-cli/2.0"),
    ],
)
def test_a_redacted_header_keeps_only_its_scheme(name: str, value: str, expected: str) -> None:
    assert redacted_value(name, value) == expected
    assert redacted_value(name, expected) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/messages", "/v1/messages"),
        ("/v1/messages?beta=true", "/v1/messages?beta=true"),
        (f"/x:generateContent?key={KEY}", "/x:generateContent?key=REDACTED"),
        (f"/x?alt=sse&KEY={KEY}&x=%20", "/x?alt=sse&KEY=REDACTED&x=%20"),
        (f"/x?%6bey={KEY}", "/x?%6bey=REDACTED"),
        ("/x?key", "/x?key"),
        ("/x?key=", "/x?key="),
        ("/x?", "/x?"),
        ("/x?key=a&key=b", "/x?key=REDACTED&key=REDACTED"),
    ],
)
def test_a_redacted_path_keeps_every_other_byte(path: str, expected: str) -> None:
    assert redacted_path(path) == expected
    assert redacted_path(expected) == expected


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ([("authorization", f"Bearer {KEY}")], "", {KEY}),
        ([("x-api-key", KEY)], "", {KEY}),
        ([("authorization", "Basic dXNlcjpzZWNyZXQtcGFzcw==")], "", {"secret-pass"}),
        ([("cookie", "a=first-value; b=second-value")], "", {"first-value", "second-value"}),
        ([("set-cookie", "sid=abcdefghi; path=/; HttpOnly")], "", {"abcdefghi"}),
        ([], "/x?key=abc%2Fdefgh&alt=sse", {"abc%2Fdefgh", "abc/defgh"}),
        ([("x-api-key", "key+with/marks")], "", {"key+with/marks", "key%2Bwith%2Fmarks"}),
        ([], "/x?key=caf\udce9-1234", {"caf\udce9-1234", "caf%E9-1234"}),
    ],
)
def test_secrets_are_returned_in_every_form(
    fields: list[tuple[str, str]], path: str, expected: set[str]
) -> None:
    assert expected <= secret_values(fields, path)


@pytest.mark.parametrize("value", ["short", "REDACTED", "Bearer REDACTED"])
def test_short_and_redacted_values_are_not_secrets(value: str) -> None:
    assert secret_values([("x-api-key", value), ("authorization", value)]) == frozenset()


def test_masking_replaces_the_longest_value_first() -> None:
    values = {"sk-12345678", "sk-12345678-and-more"}
    assert masked("a sk-12345678-and-more b", values) == "a REDACTED b"
    assert Redactor(values).data(b"a sk-12345678-and-more b") == b"a REDACTED b"


def test_without_a_secret_the_same_object_is_returned() -> None:
    data = b"nothing to hide"
    assert Redactor({KEY}).data(data) is data


@given(st.text(st.characters(codec="latin-1"), min_size=8, max_size=20))
def test_a_value_is_searched_for_as_it_is_and_percent_encoded(value: str) -> None:
    forms = secret_values([("x-api-key", value)])
    expected = {value, quote(value, safe="", errors="surrogateescape")}
    if "REDACTED" not in value and not value.lower().startswith(("bearer", "basic", "token")):
        assert forms == expected


ODD_TEXT = st.text(st.sampled_from('sk"\\/é\n\udc80'), min_size=1, max_size=9)


@given(ODD_TEXT, ODD_TEXT, ODD_TEXT)
def test_a_value_that_a_text_contains_is_noticed_in_its_json(
    before: str, value: str, after: str
) -> None:
    try:
        text = orjson.dumps({"found": before + value + after})
    except TypeError:
        return  # a lone surrogate cannot be written
    assert Redactor({value}).may_be_in_json(text)


PIECES = st.text(st.sampled_from("ab/\udc80"), min_size=1, max_size=3)


@given(st.sets(PIECES, max_size=5), st.lists(PIECES, max_size=6), st.booleans())
def test_values_are_redacted_wherever_they_are(
    values: set[str], pieces: list[str], are_many: bool
) -> None:
    others = {f"other value {number}" for number in range(20 if are_many else 0)}
    redactor, text = Redactor(values | others), "".join(pieces)
    expected, in_place = text, text.encode("utf-8", "surrogateescape")
    for value in sorted(values, key=len, reverse=True):
        expected = expected.replace(value, "REDACTED")
        encoded = value.encode("utf-8", "surrogateescape")
        in_place = in_place.replace(encoded, b"REDACTED".ljust(len(encoded), b"_"))
    data = text.encode("utf-8", "surrogateescape")
    assert redactor.text(text) == expected
    assert redactor.data(data) == expected.encode("utf-8", "surrogateescape")
    assert redactor.data_in_place(data) == in_place
    if expected == text:
        assert redactor.text(text) is text
        assert redactor.data(data) is data


def test_only_the_first_secrets_are_searched_for_and_cookies_come_last() -> None:
    cookies = "; ".join(f"name{i}=value-of-cookie-{i}" for i in range(1000))
    fields = [("cookie", cookies), ("authorization", "Bearer sk-0123456789")]
    values = secret_values(fields, "/v1?key=key-0123456789")
    assert {"sk-0123456789", "key-0123456789", "value-of-cookie-0"} <= values
    assert "value-of-cookie-999" not in values
    assert len(values) <= 2 * SECRETS_LIMIT


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Connection lost", "Connection lost"),
        (
            "unexpected server response: b'HTTP/1.1 200 X\\r\\nx-api-key: sk-sec'",
            "unexpected server response (its bytes are not shown)",
        ),
        (
            'Invalid header line: b"x-api-key: \'sk-secret"',
            "Invalid header line (its bytes are not shown)",
        ),
        (
            "illegal header line: bytearray(b'x-api-key=sk-secret')",
            "illegal header line (its bytes are not shown)",
        ),
        ("It is a b'", "It is a (its bytes are not shown)"),
    ],
)
def test_an_error_message_does_not_show_the_bytes_that_a_peer_sent(
    message: str, expected: str
) -> None:
    assert without_quoted_bytes(message) == expected
