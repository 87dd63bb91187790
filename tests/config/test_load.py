"""Reading a configuration or reporting its problems: every message, none with a secret."""

import os
import threading
import traceback
from pathlib import Path

import pytest
from wiremend.config.load import ConfigError, find_config, load_config, parse_config, read_document
from wiremend.config.model import Config
from wiremend.config.settings import settings_of
from wiremend.protocols.base.names import SHORT_NAMES, WireProtocol

SECRET = "sk-do-not-show-7f3a"
ENVIRONMENT = {
    "KEY": SECRET,
    "P_API_KEY": SECRET,
    "EMPTY": "",
    "TWO_LINES": f"{SECRET}\nx: y",
    "PADDED": f"{SECRET}\n",
}
CODES = ("S001", "S101", "M001", "T001")
ROUTED = '[providers.p]\nbase_url = "https://a.example"\n'
ONE_PROTOCOL = (
    "expected one of anthropic-messages (or anthropic), chat-completions (or chat), responses, "
    "gemini"
)
MISPLACED = (
    "'${...}' is replaced only in providers.*.api_key and api_keys, and in headers that can "
    "contain a credential; write the value itself"
)
EXPECTED_PATH = "expected a path such as '/*/prompt_async', without query, got"
EXPECTED_HOST = "expected a host glob such as '*.example.com', without scheme, port or path, got"
EXPECTED_ADDRESS = "providers.p.base_url: expected an address such as 'https://api.example.com'"


def parse(text: str) -> Config:
    return parse_config(text, "wiremend.toml", ENVIRONMENT, CODES)


def problems_of(text: str) -> list[str]:
    """Return the problems of a text, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        parse(text)
    shown = "".join(traceback.format_exception(caught.value))
    assert SECRET not in shown
    assert "pydantic" not in str(caught.value).lower()
    assert caught.value.__context__ is None
    lines = str(caught.value).split("\n")
    assert all(line.startswith("wiremend.toml: ") for line in lines)
    return [line.removeprefix("wiremend.toml: ") for line in lines]


def provider(lines: str) -> str:
    return f'[providers.p]\nbase_url = "https://a.example"\n{lines}\n'


def base_url(address: str) -> str:
    return f"[providers.p]\nbase_url = '{address}'\n"


def route(lines: str) -> str:
    return f"[[models]]\n{lines}\n"


WRONG = {
    # Unknown keys
    "a misspelled key": (
        "[retry]\natempts = 3",
        "retry.atempts: unknown key; did you mean 'attempts'?",
    ),
    "a key in capitals": (
        "[retry]\nATTEMPTS = 3",
        "retry.ATTEMPTS: unknown key; did you mean 'attempts'?",
    ),
    "a key with hyphens": (
        "[timeouts]\nfirst-byte = 3",
        "timeouts.first-byte: unknown key; did you mean 'first_byte'?",
    ),
    "a misspelled section": (
        "[retries]\nattempts = 3",
        "retries: unknown key; did you mean 'retry'?",
    ),
    "a key of another section": (
        "[retry]\nidle = 3",
        "retry.idle: unknown key; it belongs in [timeouts]",
    ),
    "a section's key at the top": (
        "attempts = 3",
        "attempts: unknown key; it belongs in [retry]",
    ),
    "a list entry's key at the top": (
        'fallback = ["x"]',
        "fallback: unknown key; it belongs in [[models]]",
    ),
    "a provider's key in a route": (
        route(f'match = "*"\napi_key = "{SECRET}"'),
        "models[0].api_key: unknown key; it belongs in [providers.NAME]",
    ),
    "a misspelled key of a route": (
        route('match = "*"\nfalback = ["x"]'),
        "models[0].falback: unknown key; did you mean 'fallback'?",
    ),
    "a misspelled secret": (
        provider(f'apikey = "{SECRET}"'),
        "providers.p.apikey: unknown key; did you mean 'api_key'?",
    ),
    "a misspelled secret with a variable": (
        provider('apikey = "${KEY}"'),
        "providers.p.apikey: unknown key; did you mean 'api_key'?",
    ),
    "a key like no other": (
        "[heartbeat]\nzzz = 1",
        "heartbeat.zzz: unknown key; the keys here are after, interval",
    ),
    "an unknown section with a variable in it": (
        '[zzz]\nx = "${KEY}"',
        "zzz: unknown key; the keys here are intercept, retry, breaker, timeouts, heartbeat, "
        "rules, models, lessons, learning, providers, access, fire_and_forget, memory, shutdown, "
        "check",
    ),
    "a provider's name that needs quotes": (
        '[providers."a b"]\nbase_url = "https://a.example"\nkey = 1',
        "providers.\"a b\".key: unknown key; did you mean 'api_key'?",
    ),
    # Budget and breaker
    "a budget below zero": (
        "[retry]\nbudget = -1",
        "retry.budget: expected 0 or more, got -1",
    ),
    "a budget that is a share": (
        "[retry]\nbudget = 0.2",
        "retry.budget: expected a whole number, got 0.2",
    ),
    "a breaker that opens after too many failures": (
        "[breaker]\nfailures = 1001",
        "breaker.failures: expected 1000 or less, got 1001",
    ),
    "a breaker without a pause": (
        "[breaker]\npause = 0",
        "breaker.pause: expected 0.1 or more, got 0",
    ),
    "a breaker that pauses for ever": (
        "[breaker]\npause_max = inf",
        "breaker.pause_max: expected a finite number, got inf",
    ),
    "a pause that is longer than the longest": (
        "[breaker]\npause = 20",
        "breaker.pause: expected pause_max (10) or less, got 20",
    ),
    "a longest pause that is shorter than the first": (
        "[breaker]\npause_max = 2.5",
        "breaker.pause_max: expected pause (5) or more, got 2.5",
    ),
    "a misspelled key of the breaker": (
        "[breaker]\nfailure = 3",
        "breaker.failure: unknown key; did you mean 'failures'?",
    ),
    # Types
    "a number as a section": ("retry = 5", "retry: expected a table [retry], got 5"),
    "a list as a section": (
        "[[retry]]\nattempts = 1",
        "retry: expected a table [retry], got a list",
    ),
    "routes with single brackets": (
        '[models]\nmatch = "*"',
        "models: expected tables [[models]], got a table",
    ),
    "a route that is a string": ('models = ["x"]', "models[0]: expected a table, got 'x'"),
    "providers that are a string": (
        f'providers = "{SECRET}"',
        "providers: expected a table [providers.NAME], got a string",
    ),
    "a provider that is a string": (
        f'[providers]\np = "{SECRET}"',
        "providers.p: expected a table, got a string",
    ),
    "true as a number of seconds": (
        "[timeouts]\nconnect = true",
        "timeouts.connect: expected a number, got true",
    ),
    "true as a whole number": (
        "[retry]\nattempts = true",
        "retry.attempts: expected a whole number, got true",
    ),
    "a number in quotes": (
        '[timeouts]\nconnect = "10"',
        "timeouts.connect: expected a number, got '10'",
    ),
    "a date as a number": (
        "[timeouts]\nconnect = 2026-01-01",
        "timeouts.connect: expected a number, got a date or time",
    ),
    "a fraction of an attempt": (
        "[retry]\nattempts = 2.5",
        "retry.attempts: expected a whole number, got 2.5",
    ),
    "attempts as a round fraction": (
        "[retry]\nattempts = 3.0",
        "retry.attempts: expected a whole number, got 3.0",
    ),
    "one host instead of a list": (
        '[intercept]\nhosts = "a.example"',
        "intercept.hosts: expected a list, got 'a.example'",
    ),
    "a host that is a number": (
        "[intercept]\nhosts = [1]",
        "intercept.hosts[0]: expected a string, got 1",
    ),
    "a key that is a number": (
        provider("api_key = 5"),
        "providers.p.api_key: expected a string, got a number",
    ),
    "headers that are a list": (
        provider(f'headers = ["{SECRET}"]'),
        "providers.p.headers: expected a table, got a list",
    ),
    "a header that is a list": (
        provider(f'headers = {{ authorization = ["{SECRET}"] }}'),
        "providers.p.headers.authorization: expected a string, got a list",
    ),
    "a long value is cut": (
        f'[timeouts]\nidle = "{"a" * 100}"',
        f"timeouts.idle: expected a number, got '{'a' * 59}...",
    ),
    "a number larger than any float": (
        f"[timeouts]\nidle = {'1' * 400}",
        f"timeouts.idle: expected a number, got {'1' * 60}...",
    ),
    # Bounds
    "no attempt": ("[retry]\nattempts = 0", "retry.attempts: expected 1 or more, got 0"),
    "too many attempts": (
        "[retry]\nattempts = 21",
        "retry.attempts: expected 20 or less, got 21",
    ),
    "a negative time": (
        "[timeouts]\nidle = -0.5",
        "timeouts.idle: expected 0 or more, got -0.5",
    ),
    "an endless time": (
        "[timeouts]\nidle = inf",
        "timeouts.idle: expected a finite number, got inf",
    ),
    "a time that is no number": (
        "[shutdown]\ngrace = nan",
        "shutdown.grace: expected a finite number, got nan",
    ),
    "backoffs in the wrong order": (
        "[retry]\nbackoff_initial = 9\nbackoff_max = 2.5",
        "retry.backoff_initial: expected backoff_max (2.5) or less, got 9",
    ),
    "a first backoff above the default maximum": (
        "[retry]\nbackoff_initial = 9",
        "retry.backoff_initial: expected backoff_max (8) or less, got 9",
    ),
    "a maximum below the default first backoff": (
        "[retry]\nbackoff_max = 0.1",
        "retry.backoff_max: expected backoff_initial (0.5) or more, got 0.1",
    ),
    "a choice that is none": (
        '[intercept]\nwebsocket = "deny"',
        "intercept.websocket: expected 'refuse' or 'pass', got 'deny'",
    ),
    "a choice of the wrong type": (
        "[intercept]\nwebsocket = [1]",
        "intercept.websocket: expected 'refuse' or 'pass', got a list",
    ),
    "a way to stream that is none": (
        route('match = "*"\nstream = "fast"'),
        "models[0].stream: expected 'live', 'guarded' or 'buffered', got 'fast'",
    ),
    # Hosts, paths, addresses
    "a host with a scheme": (
        '[intercept]\nhosts = ["a.example", "https://b.example"]',
        f"intercept.hosts[1]: {EXPECTED_HOST} 'https://b.example'",
    ),
    "a host with a port": (
        '[intercept]\nhosts = ["a.example:443"]',
        f"intercept.hosts[0]: {EXPECTED_HOST} 'a.example:443'",
    ),
    "an empty host": ('[intercept]\nhosts = [""]', f"intercept.hosts[0]: {EXPECTED_HOST} ''"),
    "a path without a slash": (
        '[fire_and_forget]\npaths = ["x"]',
        f"fire_and_forget.paths[0]: {EXPECTED_PATH} 'x'",
    ),
    "a path with a query": (
        '[fire_and_forget]\npaths = ["/x?y"]',
        f"fire_and_forget.paths[0]: {EXPECTED_PATH} '/x?y'",
    ),
    "an address without a scheme": (base_url("a.example/zen"), EXPECTED_ADDRESS),
    "an address of another scheme": (base_url(f"ftp://u:{SECRET}@a.example"), EXPECTED_ADDRESS),
    "an address with an endpoint": (
        base_url("https://a.example/zen/go/v1/messages"),
        "providers.p.base_url: expected an address without '/v1/messages', which each request adds",
    ),
    "an address with an endpoint and a slash": (
        base_url("https://a.example/chat/completions/"),
        "providers.p.base_url: expected an address without '/chat/completions/', "
        "which each request adds",
    ),
    "an address without a host": (base_url("https:///zen"), EXPECTED_ADDRESS),
    "an address with half an IPv6 host": (base_url("http://[::1"), EXPECTED_ADDRESS),
    "an address with a space": (base_url("https://a.example/a b"), EXPECTED_ADDRESS),
    "an address with a port of letters": (base_url("https://a.example:x"), EXPECTED_ADDRESS),
    "an empty address": (base_url(""), EXPECTED_ADDRESS),
    "an address with a query": (
        base_url(f"https://a.example/?key={SECRET}"),
        "providers.p.base_url: expected no query; the key belongs in api_key",
    ),
    "an address with a fragment": (
        base_url("https://a.example/#x"),
        "providers.p.base_url: expected no query; the key belongs in api_key",
    ),
    "an address with a user": (
        base_url(f"https://u:{SECRET}@a.example"),
        "providers.p.base_url: expected no user before the host; the key belongs in api_key",
    ),
    "a provider without an address": (
        "[providers.p]",
        "providers.p.base_url: is missing; set it, or preset",
    ),
    # Routes
    "a route without a match": (route('model = "x"'), "models[0].match: is missing"),
    "an empty match": (
        route('match = " "'),
        "models[0].match: expected a glob such as 'claude-haiku-*', got an empty string",
    ),
    "an empty model": (
        route('match = "*"\nmodel = ""'),
        "models[0].model: expected a name, got an empty string",
    ),
    "an empty fallback": (
        route('match = "*"\nfallback = ["x", ""]'),
        "models[0].fallback[1]: expected a name, got an empty string",
    ),
    "a fallback twice": (
        route('match = "*"\nfallback = ["x", "y", "x"]'),
        "models[0].fallback: 'x' is listed twice",
    ),
    "a fallback to a misspelled provider": (
        ROUTED + route('match = "*"\nmodel = "x"\nfallback = ["y", "pp/x"]'),
        "models[0].fallback[1]: there is no [providers.pp]; did you mean 'p'?",
    ),
    "a fallback to an unknown provider": (
        ROUTED + route('match = "*"\nmodel = "x"\nprovider = "p"\nfallback = ["other/x"]'),
        "models[0].fallback[0]: there is no [providers.other]; if 'other/x' is the name of a model "
        "of [providers.p], write 'p/other/x'",
    ),
    "a fallback to the model itself": (
        route('match = "*"\nmodel = "x"\nfallback = ["y", "x"]'),
        "models[0].fallback: 'x' is the same as `model`",
    ),
    "a provider that is not there": (
        ROUTED.replace("providers.p", "providers.opencode-go")
        + route('match = "a"')
        + route('match = "b"\nprovider = "opencode-og"'),
        "models[1].provider: there is no [providers.opencode-og]; did you mean 'opencode-go'?",
    ),
    "a provider where there is none": (
        route('match = "b"\nprovider = "x"'),
        "models[0].provider: there is no [providers.x]",
    ),
    # Rules
    "a rule by its name": (
        '[rules]\ndisable = ["S101", "cut-event"]',
        "rules.disable[1]: expected a rule's code or its beginning ('S101', 'S1'), got 'cut-event'",
    ),
    "an empty code, which would disable all": (
        '[rules]\ndisable = [""]',
        "rules.disable[0]: expected a rule's code or its beginning ('S101', 'S1'), got ''",
    ),
    "an unknown code": (
        '[rules]\ndisable = ["S1", "S102"]',
        "rules.disable[1]: there is no rule 'S102'; did you mean 'S101'?",
    ),
    "an unknown family": (
        '[rules]\ndisable = ["X"]',
        "rules.disable[0]: there is no rule 'X'",
    ),
    # Check
    "an unknown code for a file": (
        '[check]\nignore_in_files = { "*.har" = ["S1", "S102"] }',
        "check.ignore_in_files.\"*.har\"[1]: there is no rule 'S102'; did you mean 'S101'?",
    ),
    "an unknown code to select": (
        '[check]\nselect = ["X"]',
        "check.select[0]: there is no rule 'X'",
    ),
    # Secrets and variables
    "a variable that is not set": (
        provider('api_key = "${OPENCODE_API_KEY}"'),
        "providers.p.api_key: the environment variable OPENCODE_API_KEY is not set",
    ),
    "a variable that is empty": (
        provider('api_key = "${EMPTY}"'),
        "providers.p.api_key: the environment variable EMPTY is empty",
    ),
    "a variable that is not closed": (
        provider('api_key = "${KEY"'),
        "providers.p.api_key: expected '${NAME}' with the name of an environment variable",
    ),
    "a variable with a default": (
        provider('api_key = "${KEY:-x}"'),
        "providers.p.api_key: expected '${NAME}' with the name of an environment variable",
    ),
    "a variable in a plain header": (
        provider('headers = { user-agent = "${KEY}" }'),
        f"providers.p.headers.user-agent: {MISPLACED}",
    ),
    "a variable in an address": (base_url("${KEY}"), f"providers.p.base_url: {MISPLACED}"),
    "a variable in a model": (
        route('match = "*"\nmodel = "${MODEL}"'),
        f"models[0].model: {MISPLACED}",
    ),
    "a variable in a list": (
        '[intercept]\nhosts = ["${HOST}"]',
        f"intercept.hosts[0]: {MISPLACED}",
    ),
    "a variable as a number": (
        '[timeouts]\nidle = "${IDLE}"',
        f"timeouts.idle: {MISPLACED}",
    ),
    "a variable as a provider's name": (
        route('match = "*"\nprovider = "${P}"'),
        f"models[0].provider: {MISPLACED}",
    ),
    "a key with a line break": (
        provider('api_key = "${TWO_LINES}"'),
        "providers.p.api_key: expected printable ASCII without spaces",
    ),
    "a header with a line break": (
        provider('headers = { x-api-key = "${TWO_LINES}" }'),
        "providers.p.headers.x-api-key: expected one line without control characters",
    ),
    "a header's name with a space": (
        provider(f'headers = {{ "x y" = "{SECRET}" }}'),
        'providers.p.headers."x y": is not a valid header name',
    ),
    "a header that frames the message": (
        provider('headers = { Content-Length = "5" }'),
        "providers.p.headers.Content-Length: the proxy sets this header itself",
    ),
    "a rule that is not about messages": (
        provider('message_rules = ["S1"]'),
        "providers.p.message_rules[0]: there is no rule on messages (Q...) 'S1'",
    ),
    "an unknown format of calls": (
        provider('leaked_calls = ["glm", "qwen3"]'),
        "providers.p.leaked_calls[1]: expected one of dsml, deepseek, kimi, glm, hermes, qwen, "
        "minimax, got 'qwen3'; did you mean 'qwen'?",
    ),
    "an unknown protocol": (
        provider('protocol = "chta"'),
        f"providers.p.protocol: {ONE_PROTOCOL}, got 'chta'; did you mean 'chat'?",
    ),
    "an unknown protocol of some models": (
        provider('protocol = { "*" = "openai" }'),
        f"providers.p.protocol: {ONE_PROTOCOL}, got 'openai'",
    ),
    "a protocol that is none": (
        provider("protocol = 1"),
        f"providers.p.protocol: {ONE_PROTOCOL}, or a table of them by model",
    ),
    "a limit that is none": (
        provider("max_output_tokens = 0"),
        "providers.p.max_output_tokens: expected 1 or more, got a number",
    ),
    "a condition that is none": (
        route('match = "*"\nwhen = { straeming = true }'),
        "models[0].when.straeming: unknown key; did you mean 'streaming'?",
    ),
    "an unknown condition": (
        route('match = "*"\nwhen = { colour = 1 }'),
        "models[0].when.colour: unknown key; the keys here are "
        "streaming, tools_min, input_tokens_over, has_images, thinking, thinking_budget_over, "
        "background, web_search, subagent",
    ),
    "a condition of another kind": (
        route('match = "*"\nwhen = { thinking = 1 }'),
        "models[0].when.thinking: expected true or false, got 1",
    ),
    "a condition that always holds": (
        route('match = "*"\nwhen = { tools_min = 0 }'),
        "models[0].when.tools_min: expected 1 or more, got 0",
    ),
    "a condition that is no table": (
        route('match = "*"\nwhen = true'),
        "models[0].when: expected a table, got true",
    ),
    # Origins of web pages
    "every origin": (
        '[access]\norigins = ["https://app.example", "*"]',
        "access.origins[1]: expected exact origins such as 'https://app.example'; "
        "'*' would let every web page use the keys",
    ),
    "an origin with a path": (
        '[access]\norigins = ["https://app.example/"]',
        "access.origins[0]: expected an origin without path or wildcard, in ASCII, "
        "got 'https://app.example/'; did you mean 'https://app.example'?",
    ),
    "an origin that is no list": (
        '[access]\norigins = "https://app.example"',
        "access.origins: expected a list, got 'https://app.example'",
    ),
    "a misspelled access": (
        "[access]\norigin = []",
        "access.origin: unknown key; did you mean 'origins'?",
    ),
    # fields of requests
    "an empty path to drop": (
        route('match = "*"\ndrop = [""]'),
        "models[0].drop[0]: expected the path of a field such as 'generationConfig.topK', got an "
        "empty string",
    ),
    "two dots in a path": (
        route('match = "*"\nset = { "a..b" = 1 }'),
        "models[0].set.\"a..b\": expected the path of a field such as 'messages.*.name': steps "
        "without white space, with one dot between them, got 'a..b'",
    ),
    "the model as a field": (
        provider('set = { model = "x" }'),
        "providers.p.set.model: cannot be changed here: the model is set by `model` in [[models]]",
    ),
    "the stream as a field": (
        provider('drop = ["stream"]'),
        "providers.p.drop[0]: cannot be changed here: the client decides whether it reads a stream",
    ),
    "everything to drop": (
        provider('drop = ["*"]'),
        "providers.p.drop[0]: expected the name of a field at the end, got '*'",
    ),
    "a date to set": (
        provider("set = { since = 2026-01-01 }"),
        "providers.p.set.since: JSON has no dates and times: write '2026-01-01' as a string",
    ),
    "an infinite number to set": (
        provider("set = { a = { b = [inf] } }"),
        "providers.p.set.a: JSON has no inf",
    ),
    "a large number to set": (
        provider("set = { seed = 99999999999999999999 }"),
        "providers.p.set.seed: expected a number of 64 bits",
    ),
    "a dotted key in a table to set": (
        provider('set = { a = { "b.c" = 1 } }'),
        "providers.p.set.a: the keys of a nested table cannot contain dots or white space",
    ),
    "a name renamed to itself": (
        route('match = "*"\nrename = { user = "user" }'),
        "models[0].rename.user: is renamed to itself",
    ),
    "a name moved into itself": (
        route('match = "*"\nrename = { user = "user.id" }'),
        "models[0].rename.user: 'user.id' is inside the other",
    ),
    "items renamed elsewhere": (
        route('match = "*"\nrename = { "messages.*.a" = "b" }'),
        "models[0].rename.\"messages.*.a\": expected a path that begins with 'messages.*.', the "
        "place of the same items, got 'b'",
    ),
    "a new name that is no path": (
        route('match = "*"\nrename = { user = "a b" }'),
        "models[0].rename.user: 'a b': expected the path of a field such as 'messages.*.name': "
        "steps without white space, with one dot between them, got 'a b'",
    ),
    "another word for errors": (
        provider('on_unsupported = "fail"'),
        "providers.p.on_unsupported: expected 'drop' or 'error', got a string",
    ),
    "no table to set": (
        route('match = "*"\nset = 1'),
        "models[0].set: expected a table, got 1",
    ),
    # TOML itself
    "a value without quotes": (
        "[retry]\n\nattempts = many\n",
        "line 3: invalid value (column 12)",
    ),
    "a key without a value": (
        "[retry]\nattempts\n",
        "line 2: expected '=' after a key in a key/value pair (column 9)",
    ),
    "a table twice": (
        "[retry]\n[retry]\n",
        "line 2: cannot declare ('retry',) twice (column 7)",
    ),
    "a text that ends too soon": (
        "[retry]\nattempts = ",
        "line 2: invalid value (at the end of the file)",
    ),
    "a secret without quotes": (
        provider(f"api_key = {SECRET}"),
        "line 3: invalid value (column 11)",
    ),
    "a number without end": (
        f"[retry]\nattempts = {'1' * 5000}",
        "contains a number that is too long",
    ),
    "a key without end": (
        f"retry.attempts.{'x.' * 1000}x = 1",
        "retry.attempts: expected a whole number, got a table",
    ),
    "lists without end": (f"x = {'[' * 100_000}", "is nested too deeply"),
}


@pytest.mark.parametrize(("text", "problem"), WRONG.values(), ids=WRONG.keys())
def test_a_problem_is_reported_with_its_key_and_what_was_expected(text: str, problem: str) -> None:
    assert problems_of(text) == [problem]


def test_all_problems_are_reported_together() -> None:
    text = (
        "[retry]\nattempts = 0\natempts = 1\n[timeouts]\nidle = -1\n"
        '[[models]]\nmodel = "x"\n'
        "[providers.p]\nbase_url = 'x'\napi_key = '${A}'\n"
        "headers = { a-key = '${B}', cookie = '${C}', HOST = 'x', A = '1', a = '2' }\n"
    )
    assert sorted(problems_of(text)) == [
        "models[0].match: is missing",
        "providers.p.api_key: the environment variable A is not set",
        "providers.p.base_url: expected an address such as 'https://api.example.com'",
        "providers.p.headers.A: is listed twice",
        "providers.p.headers.HOST: the proxy sets this header itself",
        "providers.p.headers.a-key: the environment variable B is not set",
        "providers.p.headers.a: is listed twice",
        "providers.p.headers.cookie: the environment variable C is not set",
        "retry.atempts: unknown key; did you mean 'attempts'?",
        "retry.attempts: expected 1 or more, got 0",
        "timeouts.idle: expected 0 or more, got -1",
    ]


WRONG_SECRETS = {
    "the key": ('api_key = "$KEY"', "api_key"),
    "a variable that is not set": ('api_key = " $KEY_OF_NONE\t"', "api_key"),
    "after a scheme": ('headers = { authorization = "Bearer $KEY" }', "headers.authorization"),
}


@pytest.mark.parametrize(("line", "key"), WRONG_SECRETS.values(), ids=WRONG_SECRETS)
def test_a_variable_without_braces_is_refused(line: str, key: str) -> None:
    expected = "expected '${NAME}' with braces to use an environment variable"
    assert problems_of(provider(line)) == [f"providers.p.{key}: {expected}"]


def test_the_name_of_a_variable_is_refused_as_a_key() -> None:
    problem = "is the name of an environment variable; write '${NAME}' to use its value"
    assert problems_of(provider('api_key = "P_API_KEY"')) == [f"providers.p.api_key: {problem}"]


@pytest.mark.parametrize(
    "lines",
    [
        'match = "*"\nmodel = "ps/x"\nprovider = "p"\nfallback = ["ps/y", "p/z"]',
        'match = "ps/*"\nprovider = "p"\nfallback = ["ps/y"]',
        'match = "*"\nfallback = ["vendor/x"]',
    ],
    ids=["the model too", "the requested model too", "the client's provider"],
)
def test_a_fallback_may_be_a_model_whose_name_contains_a_slash(lines: str) -> None:
    assert len(parse(ROUTED + route(lines)).models[0].fallback) > 0


RIGHT_SECRETS = {
    "the key": ('api_key = "${KEY}"', SECRET),
    "within other text": ('headers = { authorization = "Bearer ${KEY}" }', f"Bearer {SECRET}"),
    "twice": ('headers = { cookie = "a=${KEY}; b=${KEY}" }', f"a={SECRET}; b={SECRET}"),
    "in a gateway's header": ('headers = { CF-AIG-Authorization = "${KEY}" }', SECRET),
    "less the line break at its end": ('api_key = "${PADDED}"', SECRET),
    "a literal value": (f'api_key = "{SECRET}"', SECRET),
    "a name that is no variable": ('api_key = "P_OTHER_KEY"', "P_OTHER_KEY"),
    "in a variable's form, where none is replaced": ('headers = { x-a = "$KEY" }', "$KEY"),
    "with a dollar": ('api_key = "a$b{c}$KEY"', "a$b{c}$KEY"),
}


@pytest.mark.parametrize(("line", "value"), RIGHT_SECRETS.values(), ids=RIGHT_SECRETS.keys())
def test_a_secret_is_filled_in_from_the_environment(line: str, value: str) -> None:
    parsed = parse(provider(line)).providers["p"]
    secret = next(iter(parsed.headers.values()), parsed.api_key)
    assert secret.get_secret_value() == value


def test_variables_in_the_value_of_a_variable_are_not_replaced() -> None:
    config = parse_config(provider('api_key = "${A}"'), "x", {"A": "${B}", "B": "no"})
    assert config.providers["p"].api_key.get_secret_value() == "${B}"


def test_codes_are_checked_only_if_the_known_codes_are_given() -> None:
    config = parse_config('[rules]\ndisable = ["S999"]', "x", {})
    assert config.rules.disable == ("S999",)


EMPTY = {
    "an empty file": b"",
    "blank lines": b"\n\r\n \n",
    "a comment without line end": b"# nothing",
    "only a byte order mark": b"\xef\xbb\xbf",
    "an empty section": b"[retry]\n",
    "an empty list of routes": b"models = []",
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY.keys())
def test_an_empty_file_means_the_defaults(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "wiremend.toml"
    path.write_bytes(data)
    assert load_config(path) == Config()


def test_no_file_means_the_defaults() -> None:
    assert load_config(None) == Config()


def test_a_file_is_read_with_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "wiremend.toml"
    path.write_bytes(b"\xef\xbb\xbf[retry]\r\nattempts = 7\r\n")
    assert load_config(path).retry.attempts == 7


def test_a_file_takes_its_secrets_from_the_process_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wiremend.toml"
    path.write_text(provider('api_key = "${WIREMEND_TEST_KEY}"'))
    monkeypatch.setenv("WIREMEND_TEST_KEY", SECRET)
    assert load_config(path).providers["p"].api_key.get_secret_value() == SECRET


UNREADABLE = {
    "Latin-1": (b'[retry]\n# caf\xe9 "' + SECRET.encode(), "team.toml: line 2: is not UTF-8"),
    "UTF-16 of a Windows shell": (
        "[retry]".encode("utf-16"),
        "team.toml: line 1: is not UTF-8",
    ),
    "a NUL": (b"a = 1\x00", "team.toml: line 1: "),
}


@pytest.mark.parametrize(("data", "message"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_file_that_is_not_utf_8_is_refused(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "team.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert str(caught.value).startswith(message)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None


def test_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").mkdir()
    path = find_config("", tmp_path)
    with pytest.raises(ConfigError, match=r"^wiremend\.toml: is a directory, not a file$"):
        load_config(path)


@pytest.mark.parametrize("source", ["a pipe", "a device"])
def test_what_is_no_regular_file_is_refused_where_it_may_be_a_repositorys(
    source: str, tmp_path: Path
) -> None:
    """A link in a repository can lead to /dev/zero; a pipe would stop the proxy for ever."""
    path = tmp_path / "wiremend.toml"
    if source == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=r"^wiremend\.toml: is no regular file$"):
        read_document(path, must_be_regular=True)


def test_a_pipe_that_the_user_names_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wiremend.toml"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=("[retry]\nattempts = 7\n",))
    writer.start()
    assert load_config(path).retry.attempts == 7
    writer.join()


def test_a_file_without_end_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^zero: is larger than 1048576 bytes$"):
        load_config(Path("/dev/zero"))


def test_a_file_that_may_not_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    message = r"^wiremend\.toml: cannot be read: permission denied$"
    with pytest.raises(ConfigError, match=message):
        load_config(Path("wiremend.toml"))


def test_a_missing_file_is_reported_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^gone\.toml: no such file$"):
        load_config(tmp_path / "gone.toml")


def test_without_option_and_file_there_is_no_path(tmp_path: Path) -> None:
    assert find_config("", tmp_path, {"XDG_CONFIG_HOME": str(tmp_path / "config")}) is None


@pytest.mark.parametrize("named", ["own", None, "", "relative"])
def test_the_file_in_the_users_configuration_directory_is_used_last(
    named: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative XDG_CONFIG_HOME would be below the working directory, so it is ignored."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    work = tmp_path / "work"
    directories = [tmp_path / "own", tmp_path / "home" / ".config", work / "relative"]
    for directory in directories:
        (directory / "wiremend").mkdir(parents=True)
        (directory / "wiremend" / "wiremend.toml").touch()
    environ = {"own": {"XDG_CONFIG_HOME": str(tmp_path / "own")}, None: {}}.get(
        named, {"XDG_CONFIG_HOME": str(named)}
    )
    expected = directories[0] if named == "own" else directories[1]
    assert find_config("", work, environ) == expected / "wiremend" / "wiremend.toml"
    (work / "wiremend.toml").touch()
    assert find_config("", work, environ) == work / "wiremend.toml"


def test_the_file_in_the_directory_is_used(tmp_path: Path) -> None:
    path = tmp_path / "wiremend.toml"
    path.touch()
    assert find_config("", tmp_path) == path


def test_a_dangling_link_is_returned_so_that_it_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "wiremend.toml"
    path.symlink_to(tmp_path / "gone")
    assert find_config("", tmp_path) == path
    with pytest.raises(ConfigError, match=r"^wiremend\.toml: no such file$"):
        load_config(path)


def test_the_option_takes_precedence_over_the_file_in_the_directory(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").touch()
    (tmp_path / "team.toml").touch()
    assert find_config("team.toml", tmp_path) == tmp_path / "team.toml"
    assert find_config(str(tmp_path / "team.toml"), Path("/")) == tmp_path / "team.toml"


def test_a_tilde_in_the_option_is_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "team.toml").touch()
    assert find_config("~/team.toml", Path("/")) == tmp_path / "team.toml"


@pytest.mark.parametrize("option", ["gone.toml", "~no-such-user/x.toml", "a\0b"])
def test_an_option_with_a_missing_file_is_refused(option: str, tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").touch()
    with pytest.raises(ConfigError) as caught:
        find_config(option, tmp_path)
    assert str(caught.value) == f"{option}: no such file (option wiremend_config)"


def test_an_error_contains_its_problems_as_a_list() -> None:
    with pytest.raises(ConfigError) as caught:
        parse("[retry]\nattempts = 0\nbackoff_max = -1")
    assert caught.value.source == "wiremend.toml"
    assert caught.value.problems == (
        "retry.attempts: expected 1 or more, got 0",
        "retry.backoff_max: expected 0 or more, got -1",
    )


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    """Those that concern several keys, too, although pydantic leaves them out here."""
    text = """
[retry]
atempts = 3
[providers.a]
base_url = "https://a.example/v1/messages"
api_key = "$KEY"
[providers.b]
base_url = "https://b.example"
api_key = "x"
api_keys = ["y"]
headers = { x-api-key = "z", user-agent = "u" }
[[models]]
match = "*"
provider = "bb"
fallback = ["a/x", "a/x", "bb/y"]
[[models]]
match = "claude-*"
model = 3
"""
    with pytest.raises(ConfigError) as refused:
        parse_config(text, "team.toml", {"KEY": "k"})
    assert [problem.partition(": ")[::2] for problem in refused.value.problems] == [
        ("retry.atempts", "unknown key; did you mean 'attempts'?"),
        ("providers.a.base_url", "expected an address without '/v1/messages', which each request "
         "adds"),
        ("providers.a.api_key", "expected '${NAME}' with braces to use an environment variable"),
        ("providers.b.api_keys", "cannot be set together with api_key; remove one of them"),
        ("providers.b.headers.x-api-key", "replaces the keys in api_keys; remove one"),
        ("models[0].provider", "there is no [providers.bb]; did you mean 'b'?"),
        ("models[0].fallback", "'a/x' is listed twice"),
        ("models[0].fallback[2]", "there is no [providers.bb]; did you mean 'b'?"),
        ("models[1].model", "expected a string, got 3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "broken", ["providers = 3", "models = 3", "models = [3]", "providers.a = 3"]
)
def test_a_file_of_another_shape_has_no_problems_across_keys(broken: str) -> None:
    with pytest.raises(ConfigError):
        parse_config(f"retry = 3\n{broken}", "team.toml", {})


@pytest.mark.parametrize("protocol", WireProtocol)
def test_a_protocol_has_the_same_names_as_in_output(protocol: WireProtocol) -> None:
    for name in {protocol.value, SHORT_NAMES.get(protocol, protocol.value)}:
        text = provider(f"protocol = {name!r}")
        config = parse_config(text, "team.toml", {})
        assert settings_of(config, ()).providers["p"].protocols == (("*", protocol),)
