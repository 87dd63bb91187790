"""The configuration of oc-go-cc, today routatic/proxy: `config.json`.

The order of decisions: `model_overrides`, `model_family_overrides`, the requested model if it is
one of `models`, then the scenario.
https://github.com/routatic/proxy/blob/main/CONFIGURATION.md
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from wiremend.launch.importing.result import Imported, ImportedProvider, ImportedRoute, shown
from wiremend.launch.importing.source import (
    address,
    count_of,
    dict_of,
    keys_of,
    list_of,
    not_carried,
    text_of,
)

CLAUDE = "claude-*"
_DEFAULT_THRESHOLD = 100_000
_SCENARIOS = frozenset(
    {
        "background", "complex", "default", "fast", "long_context", "think", "vision",
        "vision_complex", "vision_long_context",
    }
)  # fmt: skip
_READ = frozenset(
    {
        "anthropic_first", "api_key", "api_keys", "aws_bedrock",
        "enable_streaming_scenario_routing", "fallbacks", "model_family_overrides",
        "model_overrides", "models", "opencode_go", "opencode_zen", "openrouter",
        "respect_requested_model",
    }
)  # fmt: skip
_KNOWN: Mapping[str, str] = {
    "catalog": "",
    "cost_routing": "Routes do not depend on prices.",
    "debug": "",
    "enable_cost_based_routing": "Routes do not depend on prices.",
    "host": "The proxy listens on 127.0.0.1.",
    "hot_reload": "Edits of wiremend.toml always apply within two seconds.",
    "logging": "",
    "port": "Use --port.",
    "storage": "",
    "update_channel": "",
}
_WILDCARDS = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class _Known:
    """A provider that the program knows: its section of the file, and its defaults."""

    section: str
    base_url: str
    protocols: Mapping[str, str]


_PROVIDERS: Mapping[str, _Known] = {
    "opencode-go": _Known(
        "opencode_go",
        "https://opencode.ai/zen/go/v1",
        {
            "minimax-*": "anthropic",
            "qwen3.8-flash": "anthropic",
            "grok-*": "responses",
            "gpt-*": "responses",
            "muse-spark*": "responses",
            "*": "chat",
        },
    ),
    "opencode-zen": _Known(
        "opencode_zen",
        "https://opencode.ai/zen/v1",
        {
            "claude-*": "anthropic",
            "qwen*": "anthropic",
            "gpt-*": "responses",
            "grok-*": "responses",
            "gemini-*": "gemini",
            "*": "chat",
        },
    ),
    "openrouter": _Known("openrouter", "https://openrouter.ai/api/v1", {"*": "chat"}),
    "aws-bedrock": _Known(
        "aws_bedrock",
        "",
        {"anthropic.*": "anthropic", "openai.gpt-*": "responses", "*": "chat"},
    ),
}
_WIRE_FORMATS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "chat": "chat",
    "gemini": "gemini",
    "openai": "chat",
    "responses": "responses",
}
_BLOCK_KEYS = frozenset({"base_url", "api_key", "api_keys", "enabled", "name", "wire_format"})
_OTHER_ADDRESSES = ("anthropic_base_url", "responses_base_url", "gemini_base_url")
_MODEL_KEYS = frozenset(
    {
        "context_threshold", "model_id", "provider", "reasoning_effort", "temperature", "thinking",
        "wire_format",
    }
)  # fmt: skip
_ADAPTED = "wiremend uses what it knows of the model, and the client's own values."


def is_from_it(values: Mapping[str, Any]) -> bool:
    """Return whether an object looks like a configuration of oc-go-cc."""
    sections = {known.section for known in _PROVIDERS.values()}
    return isinstance(values.get("models"), dict) or bool(sections & values.keys())


def import_it(values: Mapping[str, Any]) -> Imported:
    """Return what a configuration of oc-go-cc means."""
    return _Reader(values).imported


class _Reader:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._models = dict_of(values.get("models"))
        self._fallbacks = dict_of(values.get("fallbacks"))
        self._streams_fast = values.get("enable_streaming_scenario_routing") is not True
        self.imported = Imported("oc-go-cc")
        self._add_overrides()
        self._add_scenarios()
        if dict_of(values.get("anthropic_first")).get("enabled") is True:
            self._try_anthropic_first()
        self.imported.comments += not_carried((key for key in values if key not in _READ), _KNOWN)

    # Routes

    def _add_overrides(self) -> None:
        for name, model in dict_of(self._values.get("model_overrides")).items():
            self._add_named(name, model, f"model_overrides.{shown(name)}")
        families = dict_of(self._values.get("model_family_overrides"))
        for name, model in sorted(families.items(), key=lambda item: -len(item[0])):
            self._add_named(name, model, f"model_family_overrides.{shown(name)}", is_family=True)
        if self._values.get("respect_requested_model") is False:
            return
        for name, model in self._models.items():
            if name not in _SCENARIOS:
                self._add_named(name, model, f"models.{shown(name)}")

    def _add_named(self, name: str, model: Any, title: str, *, is_family: bool = False) -> None:
        if _WILDCARDS.search(name) or not name.strip():
            self.imported.comments.append(f"Not carried: {title}, whose name is no model name.")
            return
        own = list_of(self._fallbacks.get(name, self._fallbacks.get("default")))
        last = "fast" if self._streams_fast and "fast" in self._models else "default"
        chain = [*own, self._models.get(last), *list_of(self._fallbacks.get(last))]
        self._add(f"*{name}*" if is_family else name, {}, model, chain, title)

    def _add_scenarios(self) -> None:
        long = dict_of(self._models.get("long_context"))
        threshold = count_of(long.get("context_threshold")) or _DEFAULT_THRESHOLD
        over = {"input_tokens_over": threshold}
        scenarios: list[tuple[str, dict[str, Any], str]] = [
            ("vision_long_context", {"has_images": True, **over}, _ON_IMAGES),
            ("long_context", over, "The tokens are estimated: bytes of text divided by 4."),
            ("vision", {"has_images": True}, _ON_IMAGES),
        ]
        if self._streams_fast:
            scenarios.append(("fast", {"streaming": True}, ""))
        scenarios += [
            ("background", {"background": True}, "It took requests with certain words; this takes "
             "side calls of agents: titles, summaries, checks of the quota."),
            ("default", {}, 'For the models of other agents too, use match = "*".'),
        ]  # fmt: skip
        for name, when, comment in scenarios:
            if name in self._models:
                title = f"models.{name}"
                model, chain = self._models[name], list_of(self._fallbacks.get(name))
                self._add(CLAUDE, when, model, chain, title, comment)
        unused = {"fast"} if not self._streams_fast else set()
        for name in ("complex", "think", "vision_complex", *unused):
            if name in self._models:
                self.imported.comments.append(f"Not carried: models.{name}. {_REASONS[name]}")

    def _add(
        self,
        match: str,
        when: dict[str, Any],
        model: Any,
        chain: Iterable[Any],
        title: str,
        comment: str = "",
    ) -> None:
        values = dict_of(model)
        target = self._target(values, title)
        if target is None:
            return
        route = ImportedRoute(match, *target, title=title, when=dict(when))
        route.comments += [comment] if comment else []
        for fallback in map(dict_of, chain):
            other = self._target(fallback, f"a fallback of {title}") if fallback else None
            if other not in (None, target, *route.fallback):
                assert other is not None
                route.fallback.append(other)
        self._add_parameters(route, values)
        self.imported.routes.append(route)

    def _add_parameters(self, route: ImportedRoute, values: Mapping[str, Any]) -> None:
        """Add the parameters of a model. `set` applies to all targets, so all must take them."""
        targets = [(route.provider, route.model), *route.fallback]
        are_chat = all(self._protocol(*target) == "chat" for target in targets)
        names = ["reasoning_effort", "thinking", "temperature"]
        if text_of(values.get("model_id")).startswith("kimi-k2.7-code"):
            names.remove("temperature")  # it accepts only its own
        given = {name: values[name] for name in names if values.get(name) not in (None, "", 0)}
        if are_chat:
            route.set |= given
        left = [] if are_chat else [*given]
        left += [name for name in values if name not in _MODEL_KEYS]
        if left:
            route.comments.append(f"Not carried: {', '.join(map(shown, left))}. {_ADAPTED}")

    def _try_anthropic_first(self) -> None:
        """Let each route begin with the provider and model that the client asked for."""
        for route in self.imported.routes:
            if route.match == CLAUDE:
                assert route.provider is not None
                assert route.model is not None
                route.fallback = [(route.provider, route.model), *route.fallback]
                route.provider = route.model = None
                route.comments.append("anthropic_first: Anthropic is asked first.")
                if route.set:
                    left = ", ".join(map(shown, route.set))
                    route.comments.append(f"Not carried: {left}. {_ADAPTED}")
                    route.set = {}
        base_url = text_of(dict_of(self._values["anthropic_first"]).get("base_url"))
        if base_url and urlsplit(base_url).hostname != "api.anthropic.com":
            self.imported.comments.append(
                "Not carried: anthropic_first.base_url. The client's own provider is asked first."
            )

    # Providers

    def _target(self, values: Mapping[str, Any], place: str) -> tuple[str, str] | None:
        """Return provider and model of an entry, after adding the provider."""
        name = text_of(values.get("provider")) or "opencode-go"
        model = text_of(values.get("model_id")) or text_of(values.get("model_ref"))
        if not model or name not in _PROVIDERS:
            self.imported.comments.append(
                f"Not carried: {place}: "
                + ("it has no model_id." if not model else f"{shown(name)!r} is no known provider.")
            )
            return None
        if name not in self.imported.providers and not self._add_provider(name):
            return None
        wire = _WIRE_FORMATS.get(text_of(values.get("wire_format")), "")
        provider = self.imported.providers[name]
        if wire and self._protocol(name, model) != wire and not isinstance(provider.protocol, str):
            provider.protocol = {model: wire, **provider.protocol}
        return name, model

    def _add_provider(self, name: str) -> bool:
        known = _PROVIDERS[name]
        block = dict_of(self._values.get(known.section))
        comments: list[str] = []
        base_url = address(text_of(block.get("base_url")) or known.base_url, comments)
        if not base_url or block.get("enabled") is False:
            reason = "is switched off" if base_url else "has no http or https address"
            self.imported.comments.append(f"Not carried: the provider {name}, which {reason}.")
            return False
        keys = _keys_in(block)
        place = f"{known.section}.api_key" if keys else "api_key"
        keys = keys or _keys_in(self._values) or ["${ROUTATIC_PROXY_API_KEY}"]
        references, on_keys = keys_of(keys, place, name, self.imported)
        for key in _OTHER_ADDRESSES:
            other = text_of(block.get(key))
            if other and _root(address(other, [])) != _root(base_url):
                comments.append(
                    f"Not carried: {key}, which begins unlike base_url. A provider has one "
                    "address: write another one for these models."
                )
        left = [key for key in block if key not in {*_BLOCK_KEYS, *_OTHER_ADDRESSES}]
        if left:
            comments.append(
                f"Not carried: {', '.join(map(shown, left))}. See [timeouts] and `headers`."
            )
        protocol: dict[str, str] = dict(known.protocols)
        wire = _WIRE_FORMATS.get(text_of(block.get("wire_format")), "")
        if wire:
            protocol["*"] = wire
        self.imported.add_provider(
            ImportedProvider(name, base_url, protocol, references, comments=[*on_keys, *comments])
        )
        return True

    def _protocol(self, provider: str | None, model: str | None) -> str:
        protocol = self.imported.providers[provider or ""].protocol
        assert not isinstance(protocol, str)
        name = (model or "").lower()
        return next(wire for glob, wire in protocol.items() if fnmatchcase(name, glob.lower()))


_ON_IMAGES = (
    "It took requests with a new image; this takes requests with an image anywhere in the "
    "conversation."
)
_BY_WORDS = "It took requests with certain words, which are no condition here."
_REASONS: Mapping[str, str] = {
    "complex": f"{_BY_WORDS} `when` has tools_min, input_tokens_over and subagent.",
    "fast": "With enable_streaming_scenario_routing it was not used.",
    "think": f"{_BY_WORDS} `when` has thinking and thinking_budget_over.",
    "vision_complex": _BY_WORDS,
}


def _keys_in(block: Mapping[str, Any]) -> list[Any]:
    return [key for key in [*list_of(block.get("api_keys")), block.get("api_key")] if text_of(key)]


def _root(url: str) -> str:
    return re.sub(r"/v\d+(?:beta)?\Z", "", url)
