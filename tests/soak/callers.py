"""The clients of a soak: official SDKs that share connections, and raw clients with their own.

Every call returns how it ended (`Result`), as judged by what was scripted for it.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from typing import Any

from traffic import good
from traffic.assembled import read_answer
from traffic.clients import HTTP_VERSIONS, Outcome, RawCall, RawResponse, environment
from traffic.proxy import KEY, Proxy
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing.exchange import Received

from .scenarios import SDK, Call, End, Request, expected_answer

LIMIT_SECONDS = 60.0
"""A call that takes longer has hung. The longest right one takes less than 15 seconds."""
NOTICE_SECONDS = 10.0
"""How soon the provider must notice that a client has left."""
NUMBER = "x-soak-call"
"""The header with the number of the call."""
AGENTS = 2
"""Clients of the SDK in each protocol. One of them keeps its connections to the proxy for the whole
run, as a program does that runs for days: what is kept for each connection must not grow."""
CALLS_PER_AGENT = 50
"""The other one is replaced after so many calls."""

_PROMPT = "Say hello."
_PAUSE_SECONDS = 0.02


@dataclass(frozen=True)
class Result:
    """How a call ended."""

    call: Call
    end: End
    seconds: float
    detail: str = ""
    """What was received instead, if the end is not a right one."""

    @property
    def is_right(self) -> bool:
        """Whether the call ended as it must."""
        return self.end in self.call.scenario.ends

    def __str__(self) -> str:
        return f"{self.call}: {self.end} after {self.seconds:.1f} s: {self.detail}"


class Callers:
    """Makes calls through a proxy. `received_for` returns the request of a call, as it arrives.

    Use as a context manager; at its end all connections are closed.
    """

    def __init__(
        self, proxy: Proxy, at_once: int, received_for: Callable[[int], Received | None]
    ) -> None:
        self._proxy = proxy
        self._received_for = received_for
        self._threads = ThreadPoolExecutor(at_once, "raw client")
        self._agents: dict[tuple[WireProtocol, int], _Agent] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Callers":
        values = {
            "HTTPS_PROXY": self._proxy.url,
            "SSL_CERT_FILE": str(self._proxy.ca_file),
            "ANTHROPIC_API_KEY": KEY,
            "OPENAI_API_KEY": KEY,
            "GEMINI_API_KEY": KEY,
        }
        self._stack.enter_context(environment(values))
        return self

    async def __aexit__(self, *exception: object) -> None:
        for agent in self._agents.values():
            await agent.close()
        self._threads.shutdown()
        await self._stack.aclose()

    async def make(self, call: Call) -> Result:
        """Make a call and judge its end."""
        started = time.monotonic()
        if call.client == SDK:
            end, detail = await self._with_sdk(call)
        else:
            loop = asyncio.get_running_loop()
            end, detail = await loop.run_in_executor(self._threads, self._raw, call)
        return Result(call, end, time.monotonic() - started, detail)

    # SDKs

    async def _with_sdk(self, call: Call) -> tuple[End, str]:
        key = (call.protocol, call.number % AGENTS)
        agent = self._agents.get(key)
        is_replaced = call.number % 2 == 0
        if agent is not None and is_replaced and agent.calls >= CALLS_PER_AGENT:
            await agent.retire()
            agent = None
        if agent is None:
            agent = self._agents[key] = _Agent(call.protocol)
        outcome = Outcome()
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                await agent.call(call, outcome)
        except TimeoutError:
            return End.HUNG, repr(outcome)
        except Exception as error:  # each SDK and its HTTP library raise their own
            detail = f"{error!r} after {_short(outcome)}"
            if not _is_of_provider(error):
                return (End.LOST if _is_of_connection(error) else End.WRONG), detail
            outcome.error_class = type(error).__name__
            code = getattr(error, "status_code", None) or getattr(error, "code", None)
            outcome.status = code if isinstance(code, int) else None
            outcome.message = getattr(error, "message", None) or str(error)
        return _judge(call, outcome)

    # Raw clients

    def _raw(self, call: Call) -> tuple[End, str]:
        request = call.scenario.request or Request()
        host = request.host or good.HOSTS[call.protocol]
        try:
            with HTTP_VERSIONS[call.client](
                self._proxy, host, timeout_seconds=LIMIT_SECONDS
            ) as raw:
                _send(raw, call, request)
                return self._behave(raw, call)
        except TimeoutError as error:
            return End.HUNG, repr(error)
        except (OSError, ssl.SSLError) as error:
            return End.LOST, repr(error)
        except Exception as error:  # h11 and h2 raise many, and a soak must report them all
            return End.WRONG, repr(error)

    def _behave(self, raw: RawCall, call: Call) -> tuple[End, str]:
        match call.scenario.behaviour:
            case "slowly":
                raw.pause_seconds = _PAUSE_SECONDS
            case "leaves":
                return self._leave(raw, call, self._wait_for_request(call))
            case "stops":
                raw.read_until(_first_content(call))
                return self._leave(raw, call, self._received_for(call.number))
        return _judge_response(call, raw.response())

    def _wait_for_request(self, call: Call) -> Received | None:
        deadline = time.monotonic() + NOTICE_SECONDS
        while (received := self._received_for(call.number)) is None:
            if time.monotonic() > deadline:
                return None
            time.sleep(_PAUSE_SECONDS)
        return received

    def _leave(self, raw: RawCall, call: Call, received: Received | None) -> tuple[End, str]:
        if received is None:
            return End.LOST, "the provider got no request"
        ways = (raw.cancel, raw.close, raw.reset)
        ways[call.number % len(ways)]()
        if not received.wait_until_closed(NOTICE_SECONDS):
            return End.HUNG, "the provider did not notice that the client left"
        return End.CANCELLED, ""


def _send(raw: RawCall, call: Call, request: Request) -> None:
    if request.body is not None:
        body = request.body(call)
    else:
        body = json.dumps(good.request_body(call.protocol, call.stream)).encode()
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {KEY}",
        NUMBER: str(call.number),
        **(request.headers or {}),
    }
    path = request.path or good.PATHS[call.protocol, call.stream]
    raw.send(request.method, path, headers, body)


def _first_content(call: Call) -> bytes:
    """Return a part of the first event with content."""
    if call.tool:
        return good.TOOL_NAME.encode()
    return good.WORDS[0].encode()


# Judging


def _judge_response(call: Call, raw: RawResponse) -> tuple[End, str]:
    """Return how a call of a raw client ended."""
    if raw.ended == "timeout":
        return End.HUNG, f"{raw.status} {raw.body[:200]!r}"
    if raw.ended != "complete":
        return End.LOST, f"{raw.ended} after {raw.status} {raw.body[:200]!r}"
    scenario = call.scenario
    if End.PASSED in scenario.ends:
        is_right = raw.status == scenario.status
        return (End.PASSED, "") if is_right else (End.WRONG, f"{raw.status} {raw.body[:200]!r}")
    try:
        answer = read_answer(call.protocol, raw.body, stream=call.stream and raw.status == 200)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError) as error:
        return End.WRONG, f"{raw.status} {error!r}: {raw.body[-300:]!r}"
    return _judge(
        call,
        Outcome(
            text=answer.text,
            tool_calls=answer.tool_calls if not answer.error else (),
            finished=answer.finished,
            error_class="error" if answer.error or raw.status >= 400 else "",
            status=raw.status,
            message=answer.error,
        ),
    )


def _judge(call: Call, outcome: Outcome) -> tuple[End, str]:
    """Return how a call ended whose client got a complete response."""
    expected = expected_answer(call)
    text, found = outcome.text, f"{_short(outcome)}, expected {expected.text[:60]!r}"
    if outcome.error_class:
        if not outcome.message or not expected.text.startswith(text):
            return End.WRONG, found
        status, wanted = outcome.status, call.scenario.status
        if wanted and status not in (None, 200, wanted):  # None, 200: an error event
            return End.WRONG, f"status {status}, expected {wanted}"
        return End.ERROR, found
    received = (outcome.finished, text, outcome.tool_calls)
    if received == (True, expected.text, expected.tool_calls):
        return End.ANSWER, ""
    return End.WRONG, found


def _short(outcome: Outcome) -> str:
    text = (
        outcome.text if len(outcome.text) < 200 else f"{outcome.text[:60]}...{outcome.text[-60:]}"
    )
    calls, error = outcome.tool_calls, (outcome.error_class, outcome.status, outcome.message)
    return f"finished={outcome.finished} text={text!r} calls={calls} error={error}"


# Official SDKs


class _Agent:
    """One SDK client, with the connections that it keeps open."""

    def __init__(self, protocol: WireProtocol) -> None:
        self.calls = 0
        self._protocol = protocol
        self._running = 0
        self._is_retired = False
        self._client = _SDKS[protocol]()

    async def call(self, call: Call, outcome: Outcome) -> None:
        """Make a call; `outcome` gets what was received. Raises what the SDK raises."""
        self.calls += 1
        self._running += 1
        try:
            await _SDK_CALLS[self._protocol](self._client, call, outcome)
        finally:
            self._running -= 1
            if self._is_retired:
                await self.retire()

    async def retire(self) -> None:
        """Close the connections when no call needs them any more."""
        self._is_retired = True
        if not self._running:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._protocol is good.GEMINI:
            await self._client.aclose()
        else:
            await self._client.close()


def _limits() -> Any:
    """Return limits that keep idle connections open; by default they are closed after 5 s."""
    import httpx2

    return httpx2.Limits(keepalive_expiry=LIMIT_SECONDS * 10)


def _make_anthropic() -> Any:
    import anthropic

    client = anthropic.DefaultAsyncHttpxClient(limits=_limits())
    return anthropic.AsyncAnthropic(max_retries=0, timeout=LIMIT_SECONDS, http_client=client)


def _make_openai() -> Any:
    import openai

    client = openai.DefaultAsyncHttpxClient(limits=_limits())
    return openai.AsyncOpenAI(max_retries=0, timeout=LIMIT_SECONDS, http_client=client)


def _make_gemini() -> Any:
    from google import genai

    options = {"timeout": int(LIMIT_SECONDS * 1000), "async_client_args": {"limits": _limits()}}
    return genai.Client(http_options=options).aio  # type: ignore[arg-type]


_SDKS: Mapping[WireProtocol, Callable[[], Any]] = {
    good.ANTHROPIC: _make_anthropic,
    good.CHAT: _make_openai,
    good.RESPONSES: _make_openai,
    good.GEMINI: _make_gemini,
}


def _names(error: Exception) -> set[str]:
    return {base.__name__ for base in type(error).__mro__}


def _is_of_connection(error: Exception) -> bool:
    """Return whether the response was lost."""
    return bool(_names(error) & {"APIConnectionError", "TransportError"})


def _is_of_provider(error: Exception) -> bool:
    """Return whether an SDK raises this for an error that the provider reports."""
    return "APIError" in _names(error) and not _is_of_connection(error)


def _headers(call: Call) -> dict[str, str]:
    return {NUMBER: str(call.number)}


async def _call_anthropic(client: Any, call: Call, outcome: Outcome) -> None:
    options: dict[str, Any] = {
        "model": good.MODELS[good.ANTHROPIC],
        "max_tokens": 64,
        "messages": [{"role": "user", "content": _PROMPT}],
        "extra_headers": _headers(call),
    }
    if call.stream:
        async with client.messages.stream(**options) as events:
            async for event in events:
                if event.type == "text":
                    outcome.text += event.text
            message = await events.get_final_message()
    else:
        message = await client.messages.create(**options)
        outcome.text = "".join(block.text for block in message.content if block.type == "text")
    calls = [block for block in message.content if block.type == "tool_use"]
    outcome.tool_calls = tuple((block.name, block.input) for block in calls)
    outcome.finished = message.stop_reason is not None


async def _call_chat(client: Any, call: Call, outcome: Outcome) -> None:
    options: dict[str, Any] = {
        "model": good.MODELS[good.CHAT],
        "messages": [{"role": "user", "content": _PROMPT}],
        "extra_headers": _headers(call),
    }
    calls: dict[int, list[str]] = {}
    if call.stream:
        async with await client.chat.completions.create(stream=True, **options) as chunks:
            async for chunk in chunks:
                for choice in chunk.choices or ():
                    _take_chat(choice.delta, outcome, calls)
                    outcome.finished |= choice.finish_reason is not None
    else:
        completion = await client.chat.completions.create(**options)
        choice = completion.choices[0]
        _take_chat(choice.message, outcome, calls)
        outcome.finished = choice.finish_reason is not None
    outcome.tool_calls = tuple((name, json.loads(text)) for name, text in calls.values())


def _take_chat(message: Any, outcome: Outcome, calls: dict[int, list[str]]) -> None:
    outcome.text += message.content or ""
    for number, call in enumerate(message.tool_calls or ()):
        parts = calls.setdefault(getattr(call, "index", number), ["", ""])
        parts[0] += call.function.name or ""
        parts[1] += call.function.arguments or ""


async def _call_responses(client: Any, call: Call, outcome: Outcome) -> None:
    options: dict[str, Any] = {
        "model": good.MODELS[good.RESPONSES],
        "input": _PROMPT,
        "extra_headers": _headers(call),
    }
    response: Any = None
    if call.stream:
        async with await client.responses.create(stream=True, **options) as events:
            async for event in events:
                if event.type == "response.output_text.delta":
                    outcome.text += event.delta
                elif event.type == "response.completed":
                    response = event.response
                elif event.type == "response.failed":  # for which the SDK raises nothing
                    outcome.error_class = "response.failed"
                    outcome.message = event.response.error.message
    else:
        response = await client.responses.create(**options)
        outcome.text = response.output_text
    if response is not None:
        calls = [item for item in response.output if item.type == "function_call"]
        outcome.tool_calls = tuple((item.name, json.loads(item.arguments)) for item in calls)
        outcome.finished = response.status == "completed"


async def _call_gemini(client: Any, call: Call, outcome: Outcome) -> None:
    options: dict[str, Any] = {
        "model": good.MODELS[good.GEMINI],
        "contents": _PROMPT,
        "config": {"http_options": {"headers": _headers(call)}},
    }
    if call.stream:
        async with aclosing(await client.models.generate_content_stream(**options)) as responses:
            async for response in responses:
                _take_gemini(response, outcome)
    else:
        _take_gemini(await client.models.generate_content(**options), outcome)


def _take_gemini(response: Any, outcome: Outcome) -> None:
    for candidate in response.candidates or ():
        for part in (candidate.content and candidate.content.parts) or ():
            outcome.text += part.text or ""
            if part.function_call:
                called = (part.function_call.name, part.function_call.args)
                outcome.tool_calls = (*outcome.tool_calls, called)
        outcome.finished |= candidate.finish_reason is not None


_SDK_CALLS: Mapping[WireProtocol, Callable[[Any, Call, Outcome], Awaitable[None]]] = {
    good.ANTHROPIC: _call_anthropic,
    good.CHAT: _call_chat,
    good.RESPONSES: _call_responses,
    good.GEMINI: _call_gemini,
}
