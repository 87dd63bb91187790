"""`--check-config`: what the configuration does with a call, route by route, without a call.

With `--probe`, each provider is also sent one tiny call.
"""

import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson

from wiremend.config.allowed_contents import NotAllowed
from wiremend.config.current import CurrentConfig
from wiremend.config.load import ConfigError
from wiremend.config.routes import ModelRoute, When
from wiremend.engine.plan import plan_call
from wiremend.engine.settings import Feature, Knowledge, Settings
from wiremend.launch.verdicts import Line, ok, print_lines, problem, warning
from wiremend.protocols.base.document import Headers, OutgoingRequest, RequestDocument
from wiremend.protocols.base.names import SHORT_NAMES, WireProtocol
from wiremend.protocols.registry import PROTOCOLS
from wiremend.routing.match import Route
from wiremend.routing.providers import ProviderAddress, destinations
from wiremend.routing.translation import RoutedRequest, route
from wiremend.secrets import masked

PROBE_SECONDS = 20.0
"""How long a provider may take to answer the call of --probe."""
_SHOWN_BYTES = 2000
_SHOWN_CHARACTERS = 200
_CLIENT = WireProtocol.ANTHROPIC_MESSAGES
_ADDRESSED = "the provider that the client addresses"
_SAMPLES: dict[WireProtocol, tuple[str, dict[str, Any]]] = {
    WireProtocol.ANTHROPIC_MESSAGES: (
        "/v1/messages",
        {"max_tokens": 16, "messages": [{"role": "user", "content": "Say hi."}]},
    ),
    WireProtocol.CHAT_COMPLETIONS: (
        "/v1/chat/completions",
        {"max_tokens": 16, "messages": [{"role": "user", "content": "Say hi."}]},
    ),
    WireProtocol.RESPONSES: (
        "/v1/responses",
        {"max_output_tokens": 16, "store": False,
         "input": [{"role": "user", "content": "Say hi."}]},
    ),
    WireProtocol.GEMINI: (
        "/v1beta/models/{model}:generateContent",
        {"generationConfig": {"maxOutputTokens": 16},
         "contents": [{"role": "user", "parts": [{"text": "Say hi."}]}]},
    ),
}  # fmt: skip


def check_config(current: CurrentConfig, option: str, *, allow: bool, probe: bool) -> int:
    """Print what the configuration does. Return the exit status: 1 if there is a problem.

    `option` is the file of --config, "" for the one that is discovered.
    """
    try:
        current.read(option, Path.cwd(), allow=allow)
    except ConfigError as refused:
        return print_lines(refusals(refused))
    return print_lines(_lines(current, probe=probe))


def refusals(refused: ConfigError) -> list[Line]:
    """Return a line for each problem of a configuration that is refused."""
    if isinstance(refused, NotAllowed):  # its lines belong together
        return [problem(str(refused))]
    return [problem(f"{refused.source}: {text}") for text in refused.problems]


def warnings_of(current: CurrentConfig, *, with_routes: bool = True) -> Iterator[Line]:
    """Yield a line for each suspicious setting; those of single routes only `with_routes`."""
    name = current.path.name if current.path else ""
    for found in current.suspicions:
        if found.route is None or with_routes:
            yield warning(f"{name}: {found.text}", found.remedy)


def _lines(current: CurrentConfig, *, probe: bool) -> Iterator[Line]:
    yield ok(f"configuration: {current.source}")
    yield from warnings_of(current, with_routes=False)
    settings = current.settings
    if settings.reports_only:
        yield ok('[rules] mode = "report": routes apply, but nothing is repaired')
    for number, entry in enumerate(current.config.models):
        yield _route_line(number, entry, current)
    if not settings.providers:
        yield ok("no [providers.NAME]: calls go to the providers that clients address")
    for name, provider in settings.providers.items():
        yield _provider_line(name, provider)
    if probe:
        yield from _probes(current)


# Explaining


def _route_line(number: int, entry: ModelRoute, current: CurrentConfig) -> Line:
    settings = current.settings
    heading = f"models[{number}]: {entry.match}{_conditions(entry.when)}"
    requested = entry.match if not set(entry.match) & set("*?[") else "MODEL"
    details, refused = [], []
    targets = route(
        sample_request(_CLIENT, requested),
        model=entry.model or requested,
        provider=entry.provider,
        fallback=entry.fallback,
        providers=settings.providers,
    )
    names = destinations(
        entry.model or requested, entry.provider, entry.fallback, settings.providers
    )
    for position, ((provider, model), target) in enumerate(zip(names, targets, strict=True)):
        details.append(f"{'then' if position else 'to'} {_target(provider, model, target)}")
        if target.is_refused:
            refused.append(model)
    text = "\n".join([heading, *details])
    if refused:
        return problem(text, f"the small call of this check cannot be sent to {refused[0]}")
    found = next((one for one in current.suspicions if one.route == number), None)
    return warning(f"{text}\n{found.text}", found.remedy) if found else ok(text)


def _conditions(when: When | None) -> str:
    if when is None:
        return ""
    conditions = when.model_dump(exclude_none=True)
    return " when " + " and ".join(
        f"{name} = {str(value).lower()}" for name, value in conditions.items()
    )


def _target(provider: str | None, model: str, target: RoutedRequest) -> str:
    if provider is None:
        return f"{model} at {_ADDRESSED}, with the client's key"
    request = target.request
    path = request.path.partition("?")[0]
    spoken = target.direction.provider.name if target.direction else None
    where = f"{model} at {provider}: {request.scheme}://{request.host}"
    default = 443 if request.scheme == "https" else 80
    where += f":{request.port}" if request.port != default else ""
    return f"{where}{path}" if spoken or request.document.protocol.name is _CLIENT else where


def _provider_line(name: str, provider: ProviderAddress) -> Line:
    text = f"providers.{name}: {provider.base_url}"
    if provider.protocols:
        table = ", ".join(
            f"{SHORT_NAMES.get(spoken, spoken)} for {glob}" for glob, spoken in provider.protocols
        )
        text += f"\nprotocol: {table}; calls in other protocols are translated"
    else:
        text += "\nprotocol: that of the call; nothing is translated"
    if provider.has_key:
        return ok(f"{text}\nwith a key")
    if provider.host in ("localhost", "127.0.0.1", "::1"):
        return ok(f"{text}\nwithout a key")
    return warning(f"{text}\nwithout a key", "set api_key, unless the provider needs none")


# Probing


def _probes(current: CurrentConfig) -> Iterator[Line]:
    """Send each provider one small call, to the first model that a route names for it."""
    for name in current.settings.providers:
        model = _model_of(name, current.config.models, current.settings)
        if model is None:
            yield warning(f"providers.{name}: no route names a model of it, so it is not called")
        else:
            yield _probe(name, model, current)


def _model_of(name: str, models: tuple[ModelRoute, ...], settings: Settings) -> str | None:
    for entry in models:
        literal = entry.match if not set(entry.match) & set("*?[") else ""
        targets = destinations(
            entry.model or literal, entry.provider, entry.fallback, settings.providers
        )
        for provider, model in targets:
            if provider == name and model:
                return model
    return None


def _probe(name: str, model: str, current: CurrentConfig) -> Line:
    request = planned_request(name, model, current.settings)
    where = f"providers.{name}: a call to {model}"
    if request is None:
        return problem(f"{where} cannot be translated into its protocol")
    started = time.monotonic()
    try:
        status, body = _send(request)
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        return problem(f"{where} failed: {reason}", "check base_url, and whether it is reachable")
    seconds = time.monotonic() - started
    if status == 200:
        return ok(f"{where} was answered in {seconds:.1f} s")
    said = masked(body.decode(errors="replace"), current.secrets)
    shown = " ".join(said.split())[:_SHOWN_CHARACTERS]
    return problem(f"{where} was answered with {status}: {shown}", _remedy(status))


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "check api_key"
    if status == 404:
        return "check base_url, protocol and the name of the model"
    if status in (402, 429):
        return "check the quota of the account"
    return "" if status >= 500 else "see what the provider says about the request"


def planned_request(name: str, model: str, settings: Settings) -> OutgoingRequest | None:
    """Return the small request as the proxy would send it to a provider; None if it cannot be."""
    only = replace(settings, routes=(Route("*", provider=name, model=model),))
    spoken = settings.providers[name].protocol_for(model) or _CLIENT
    features = {Feature.ROUTE, Feature.ADAPT}
    call = plan_call(sample_request(spoken, model), features, only, Knowledge())
    if call is None or call.refusal is not None:
        return None
    return call.adapted.at(0).request if call.adapted is not None else call.requests[0]


def sample_request(protocol: WireProtocol, model: str) -> OutgoingRequest:
    """Return a small request of a client of this protocol."""
    path, body = _SAMPLES[protocol]
    if "{model}" in path:
        path = path.format(model=model)
    else:
        body = {"model": model, **body}
    headers: Headers = (("content-type", "application/json"), ("accept", "application/json"))
    if protocol is WireProtocol.ANTHROPIC_MESSAGES:
        headers = (*headers, ("anthropic-version", "2023-06-01"))
    document = RequestDocument.of(PROTOCOLS[protocol], path, orjson.dumps(body), headers)
    return OutgoingRequest(_ADDRESSED, model, "https", "client.invalid", 443, document)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the key to another host."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _send(request: OutgoingRequest) -> tuple[int, bytes]:
    """Send a request, through the user's proxy if there is one. Return status and some body.

    Raises OSError and HTTPException.
    """
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or None)
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.HTTPSHandler(context=context))
    url = f"{request.scheme}://{dict(request.headers)['host']}{request.path}"
    headers = {name: value for name, value in request.headers if name != "host"}
    sent = urllib.request.Request(url, request.body, headers, method="POST")
    try:
        with opener.open(sent, timeout=PROBE_SECONDS) as response:
            return int(response.status), response.read(_SHOWN_BYTES)
    except urllib.error.HTTPError as answered:
        with answered:
            return answered.code, answered.read(_SHOWN_BYTES)
