"""Which requests may use configured keys, and which origins a configuration can allow."""

import pytest
from wiremend.routing.access import key_refusal, normalized_origin

PAGE = "https://evil.example"
ALLOWED = "https://app.example"
ORIGINS = {ALLOWED, "http://127.0.0.1:3000"}

CHROMIUM = {
    "Origin": PAGE,
    "Sec-Fetch-Site": "cross-site",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}
FREE: dict[str, list[tuple[str, str]]] = {
    "no header": [],
    "an SDK": [("User-Agent", "OpenAI/Python 2"), ("Authorization", "Bearer x")],
    "fetch in Node.js": [("accept", "*/*"), ("sec-fetch-mode", "cors"), ("user-agent", "node")],
    "an allowed page": [*(CHROMIUM | {"Origin": ALLOWED}).items()],
    "an allowed page, without the rest": [("ORIGIN", ALLOWED)],
    "an allowed page, twice": [("origin", ALLOWED), ("origin", "http://127.0.0.1:3000")],
    "headers with similar names": [("x-origin", PAGE), ("sec-fetch-user", "?1")],
}
REFUSED: dict[str, list[tuple[str, str]]] = {
    "a page in Chromium": [*CHROMIUM.items()],
    "an origin": [("origin", PAGE)],
    "no origin": [("origin", "")],
    "a sandboxed frame": [("origin", "null")],
    "an extension": [("origin", "chrome-extension://abcdefghijklmnop")],
    "an allowed host over http": [("origin", "http://app.example")],
    "a subdomain of an allowed host": [("origin", "https://x.app.example")],
    "an allowed origin and more": [("origin", f"{ALLOWED}.evil.example")],
    "an allowed origin in capitals": [("origin", ALLOWED.upper())],
    "two origins in one header": [("origin", f"{ALLOWED} {PAGE}")],
    "one of two origins": [("origin", ALLOWED), ("origin", PAGE)],
    "only its site": [("Sec-Fetch-Site", "none")],
    "only its destination": [("SEC-FETCH-DEST", "image"), ("Sec-Fetch-Mode", "no-cors")],
}


@pytest.mark.parametrize("headers", FREE.values(), ids=FREE)
def test_requests_that_may_use_configured_keys(headers: list[tuple[str, str]]) -> None:
    assert key_refusal(headers, ORIGINS) is None


@pytest.mark.parametrize("headers", REFUSED.values(), ids=REFUSED)
def test_requests_that_may_not_use_configured_keys(headers: list[tuple[str, str]]) -> None:
    reason = key_refusal(headers, ORIGINS)
    assert reason is not None
    assert "`[access] origins" in reason
    assert "\n" not in reason


def test_without_allowed_origins_no_web_page_may_use_a_key() -> None:
    assert key_refusal([("origin", ALLOWED)], frozenset())


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        ([("origin", PAGE)], 'set `[access] origins = ["https://evil.example"]` in wiremend.toml'),
        ([("origin", "null")], "`[access] origins` cannot allow this origin"),
        ([("origin", '"]\x1b[2J')], r"""(Origin: '"]\x1b[2J')"""),
        ([("sec-fetch-site", "none")], "has the header Sec-Fetch-Site"),
        ([("sec-fetch-dest", "image")], "Without an Origin header, no entry"),
    ],
)
def test_the_reason_contains_advice(headers: list[tuple[str, str]], advice: str) -> None:
    assert advice in (key_refusal(headers, ORIGINS) or "")


ORIGIN_FORMS = {
    "https://app.example": "https://app.example",
    "HTTPS://App.Example": "https://app.example",
    "https://app.example:443": "https://app.example",
    "http://app.example:80": "http://app.example",
    "http://app.example:443": "http://app.example:443",
    "http://localhost:3000": "http://localhost:3000",
    "http://127.0.0.1:3000": "http://127.0.0.1:3000",
    "http://[0:0::1]:3000": "http://[::1]:3000",
    "https://xn--bcher-kva.example": "https://xn--bcher-kva.example",
    "chrome-extension://abcdefghijklmnop": "chrome-extension://abcdefghijklmnop",
    "vscode-webview://0a1b": "vscode-webview://0a1b",
    "tauri://localhost": "tauri://localhost",
}


@pytest.mark.parametrize(("text", "sent"), ORIGIN_FORMS.items())
def test_an_origin_is_normalized_to_the_form_that_browsers_send(text: str, sent: str) -> None:
    assert normalized_origin(text) == sent
    assert normalized_origin(sent) == sent


SUCH_AS = "expected an origin such as 'https://app.example'"
WRONG = {
    "*": "'*' would let every web page use the keys",
    "null": "any web page can send it from a sandboxed frame",
    "": f"{SUCH_AS}, got ''",
    "app.example": f"{SUCH_AS}, with its scheme, got 'app.example'",
    "localhost:3000": f"{SUCH_AS}, with its scheme, got 'localhost:3000'",
    "https://*.example": f"{SUCH_AS}; wildcards are not supported, got 'https://*.example'",
    "https://app.*": "expected an origin without path or wildcard, in ASCII, got 'https://app.*'",
    "https://app.example/": "got 'https://app.example/'; did you mean 'https://app.example'?",
    "https://App.example/x?y": "did you mean 'https://app.example'?",
    "https://app.example, https://b.example": "expected an origin without path or wildcard",
    "https://app.example\n": "expected an origin without path or wildcard",
    "https://bücher.example": "in ASCII",
    "https://\u0431.example": f"{SUCH_AS}, in ASCII as browsers send it (xn--...)",
    "https://app.example:0": "expected a port from 1 to 65535",
    "https://app.example:99999": "expected a port from 1 to 65535",
    "https://app.example:123456": "expected an origin without path or wildcard",
    "https://[::1:2:3": SUCH_AS,
    "https://[1:2]": "expected an IPv6 address in brackets",
    "file://": SUCH_AS,
    "://app.example": SUCH_AS,
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items())
def test_invalid_origins_are_refused_with_the_expected_form(text: str, expected: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is checked below
        normalized_origin(text)
    assert expected in str(caught.value)


def test_the_message_does_not_contain_a_password() -> None:
    with pytest.raises(ValueError, match="without a user") as caught:
        normalized_origin("https://user:secret@app.example")
    assert "secret" not in str(caught.value)
