"""The configuration of claude-code-router: `config.json` of its versions 1 and 2, and what
version 3 exports.

Which model a request goes to is decided as in `packages/core/src/utils/router.ts` of version 2:
long context, Claude Haiku, web search, thinking, default, in this order.
https://github.com/musistudio/claude-code-router
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from wiremend.launch.importing.result import Imported, ImportedProvider, ImportedRoute, shown
from wiremend.launch.importing.source import (
    address,
    count_of,
    dict_of,
    keys_of,
    list_of,
    not_carried,
    protocol_of,
    text_of,
)

CLAUDE = "claude-*"
"""Claude Code's models; the other proxy receives calls from it only."""
_DEFAULT_THRESHOLD = 60_000
_READ = frozenset({"Providers", "providers", "Router", "fallback"})
_KNOWN: Mapping[str, str] = {
    "APIKEY": "See [access] for who may use the proxy.",
    "API_TIMEOUT_MS": "It is a limit of Claude Code, which reads it as a variable; for limits of "
    "the proxy, see [timeouts].",
    "CLAUDE_PATH": "Start it with: wiremend run -- claude",
    "CUSTOM_ROUTER_PATH": "Write the decisions of the script as [[models]] entries with `when`.",
    "forceUseImageAgent": "Images are sent to the model of the route.",
    "HOST": "The proxy listens on 127.0.0.1.",
    "LOG": "The log is written to the terminal, or to proxy.log.",
    "LOG_LEVEL": "",
    "NON_INTERACTIVE_MODE": "Nothing has to be set for it.",
    "plugins": "",
    "PORT": "Use --port.",
    "PROXY_URL": "Set HTTPS_PROXY to it; wiremend connects through that proxy.",
    "REWRITE_SYSTEM_PROMPT": "wiremend does not change prompts.",
    "StatusLine": "",
    "transformers": "wiremend adapts requests by what it knows of the provider.",
}
_PROVIDER_KEYS = frozenset(
    {
        "account", "api_base_url", "api_key", "apiKey", "apikey", "autoFetchKnownModels",
        "autoFetchModels", "baseUrl", "billing", "capabilities", "credentials", "enabled", "icon",
        "id", "modelDescriptions", "modelDisplayNames", "modelMetadata", "models", "name",
        "protocolDetectionMode", "provider", "transformer", "type",
    }
)  # fmt: skip
"""Keys of providers that are read, or that only the program's own pages use."""
_UNNEEDED = frozenset(
    {
        "anthropic", "cerebras", "cleancache", "deepseek", "enhancetool", "gemini", "groq",
        "maxcompletiontokens", "openai", "openai-response", "openai-responses", "openrouter",
        "reasoning", "sampling", "streamoptions", "tooluse", "vercel",
    }
)  # fmt: skip
"""Transformers whose work wiremend does by itself, if they have no options."""
_PROTOCOLS: Mapping[str, str] = {
    "anthropic": "anthropic",
    "anthropic_messages": "anthropic",
    "gemini": "gemini",
    "gemini_generate_content": "gemini",
    "openai-response": "responses",
    "openai-responses": "responses",
    "openai_chat_completions": "chat",
    "openai_responses": "responses",
}
_WILDCARDS = re.compile(r"[*?\[]")


def is_from_it(values: Mapping[str, Any]) -> bool:
    """Return whether an object looks like a configuration of claude-code-router."""
    return "Providers" in values or "Router" in values


def import_it(values: Mapping[str, Any]) -> Imported:
    """Return what a configuration of claude-code-router means."""
    return _Reader(values).imported


class _Reader:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self.imported = Imported("claude-code-router")
        self._names: dict[str, str] = {}
        """By the name of a provider in lower case, its name in the output."""
        providers = values.get("Providers", values.get("providers"))
        for number, provider in enumerate(map(dict_of, list_of(providers))):
            self._add_provider(provider, f"Providers[{number}].api_key")
        router = dict_of(values.get("Router"))
        self._add_rules(router)
        self._add_scenarios(router, dict_of(values.get("fallback")))
        self._add_choices(map(dict_of, list_of(providers)))
        self.imported.comments += not_carried((key for key in values if key not in _READ), _KNOWN)

    def _add_provider(self, values: Mapping[str, Any], place: str) -> None:
        given = text_of(values.get("name"))
        url = text_of(values.get("api_base_url") or values.get("baseUrl"))
        comments: list[str] = []
        base_url = address(url, comments)
        uses = _uses(dict_of(values.get("transformer")).get("use"))
        vertex = next((name for name, _ in uses if name.startswith("vertex")), None)
        if not given or not base_url or vertex or values.get("enabled") is False:
            reason = (
                "it is switched off" if values.get("enabled") is False
                else f"wiremend does not sign requests for {shown(vertex)}" if vertex
                else "it has no name" if not given
                else "its address is no http or https address"
            )  # fmt: skip
            self.imported.comments.append(f"Not carried: the provider {shown(given)!r}: {reason}.")
            return
        name = given.replace("/", "-")
        keys = [values.get(key) for key in ("api_key", "apiKey", "apikey") if values.get(key)][:1]
        keys += [dict_of(it).get("api_key") for it in list_of(values.get("credentials"))]
        references, on_keys = keys_of(keys, place, name, self.imported)
        named = _PROTOCOLS.get(text_of(values.get("type")).lower(), "") or next(
            (_PROTOCOLS[used] for used, _ in uses if used in _PROTOCOLS), ""
        )
        provider = ImportedProvider(
            name,
            base_url,
            protocol_of(url) or named or "chat",
            references,
            comments=[*on_keys, *comments],
        )
        if not references:
            provider.comments.append("It has no key.")
        if left := [shown(key) for key in values if key not in _PROVIDER_KEYS]:
            provider.comments.append(f"Not carried: {', '.join(left)}. See `headers` and `set`.")
        _add_transformers(provider, dict_of(values.get("transformer")))
        self.imported.add_provider(provider)
        self._names[given.lower()] = name

    def _add_scenarios(self, router: Mapping[str, Any], fallback: Mapping[str, Any]) -> None:
        threshold = count_of(router.get("longContextThreshold")) or _DEFAULT_THRESHOLD
        scenarios: tuple[tuple[str, str, dict[str, Any], str], ...] = (
            ("image", CLAUDE, {"has_images": True}, ""),
            ("longContext", CLAUDE, {"input_tokens_over": threshold},
             "The tokens are estimated: bytes of text divided by 4."),
            ("background", "*claude*haiku*", {},
             "For all side calls of agents, and nothing else, use match = \"claude-*\" and "
             "when = { background = true }."),
            ("webSearch", CLAUDE, {"web_search": True}, ""),
            ("think", CLAUDE, {"thinking": True},
             "Current Claude Code asks for thinking in almost every turn: thinking_budget_over "
             "selects fewer."),
            ("default", CLAUDE, {}, 'For the models of other agents too, use match = "*".'),
        )  # fmt: skip
        for key, match, when, comment in scenarios:
            selector = text_of(router.get(key))
            if not selector:
                continue
            target = self._target(selector, f"Router.{key}")
            if target is None:
                continue
            title = f"Router.{key}: {shown(selector)}"
            route = ImportedRoute(match, *target, title=title, when=when)
            route.comments += [comment] if comment else []
            self._add_fallbacks(route, list_of(fallback.get(key)), f"fallback.{key}")
            self.imported.routes.append(route)
        read = {key for key, *_ in scenarios} | {"longContextThreshold", "rules", "fallback"}
        self.imported.comments += [
            f"Not carried: Router.{shown(key)}." for key in router if key not in read
        ]

    def _add_rules(self, router: Mapping[str, Any]) -> None:
        """Add the rules of version 3 that only look at the model, and only change the model."""
        default = dict_of(router.get("fallback"))
        for number, rule in enumerate(map(dict_of, list_of(router.get("rules")))):
            place = f"Router.rules[{number}] {shown(text_of(rule.get('name')))!r}"
            if rule.get("enabled") is False:
                continue
            match, selector = _match_of_rule(rule), _target_of_rule(rule)
            if not match or not selector:
                self.imported.comments.append(
                    f"Not carried: {place}, which does more than replace the model of requests "
                    "for some models."
                )
                continue
            target = self._target(selector, place)
            if target is None:
                continue
            route = ImportedRoute(match, *target, title=f"{place}: {shown(selector)}")
            own = dict_of(rule.get("fallback")) or default
            models = list_of(own.get("models")) if own.get("mode") == "model-chain" else []
            self._add_fallbacks(route, models, f"{place}.fallback")
            self.imported.routes.append(route)

    def _add_choices(self, providers: Iterable[Mapping[str, Any]]) -> None:
        """Add a route for each model that users choose in Claude Code, `/model PROVIDER,MODEL`."""
        for provider in providers:
            given = text_of(provider.get("name"))
            name = self._names.get(given.lower())
            for model in filter(None, map(text_of, list_of(provider.get("models")))):
                choice = f"{given},{model}"
                if name is None or _WILDCARDS.search(choice):
                    continue
                self.imported.routes.append(
                    ImportedRoute(choice, name, model, title=f"For: /model {shown(choice)}")
                )

    def _add_fallbacks(self, route: ImportedRoute, models: Iterable[Any], place: str) -> None:
        for selector in filter(None, map(text_of, models)):
            target = self._target(selector, place)
            if target not in (None, (route.provider, route.model), *route.fallback):
                assert target is not None
                route.fallback.append(target)

    def _target(self, selector: str, place: str) -> tuple[str, str] | None:
        """Return provider and model of `PROVIDER,MODEL` (version 2) or `PROVIDER/MODEL` (3)."""
        separator = "," if "," in selector else "/"
        provider, _, model = selector.partition(separator)
        name = self._names.get(provider.strip().lower())
        if name is None or not model.strip():
            self.imported.comments.append(
                f"Not carried: {place}: {shown(selector)!r} names no provider of the file."
            )
            return None
        return name, model.strip()


def _uses(value: Any) -> list[tuple[str, Mapping[str, Any]]]:
    """Return names, in lower case, and options of a list of transformers."""
    uses = []
    for entry in list_of(value):
        parts = entry if isinstance(entry, list) else [entry]
        if parts and isinstance(parts[0], str):
            uses.append((parts[0].lower(), dict_of(parts[1]) if len(parts) > 1 else {}))
    return uses


def _add_transformers(provider: ImportedProvider, transformer: Mapping[str, Any]) -> None:
    for name, options in _uses(transformer.get("use")):
        limit = count_of(options.get("max_tokens"))
        if name == "maxtoken" and limit:
            provider.max_output_tokens = limit
        elif name == "openrouter" and dict_of(options.get("provider")):
            provider.set["provider"] = options["provider"]
        elif name not in _UNNEEDED or options:
            provider.comments.append(f"Not carried: the transformer {shown(name)!r}.")
    for model, value in transformer.items():
        names = [
            name for name, options in _uses(dict_of(value).get("use"))
            if name not in _UNNEEDED or options
        ]  # fmt: skip
        if model != "use" and names:
            what = ", ".join(map(repr, map(shown, names)))
            provider.comments.append(
                f"Not carried: the transformers {what} of the model {shown(model)!r}; `set` of a "
                "[[models]] entry changes fields for one model."
            )


def _match_of_rule(rule: Mapping[str, Any]) -> str:
    """Return the glob on the model that a rule stands for; "" if it has another condition."""
    condition = dict_of(rule.get("condition"))
    pattern, right = text_of(rule.get("pattern")), text_of(condition.get("right")).strip("\"'")
    if rule.get("type") == "model-prefix" and pattern:
        return "" if _WILDCARDS.search(pattern) else f"{pattern}*"
    if condition.get("left") != "request.body.model" or not right or _WILDCARDS.search(right):
        return ""
    globs = {"==": right, "starts-with": f"{right}*", "contains": f"*{right}*"}
    return globs.get(text_of(condition.get("operator")), "")


def _target_of_rule(rule: Mapping[str, Any]) -> str:
    rewrites = list_of(rule.get("rewrites")) or [rule.get("rewrite")]
    if rule.get("target"):
        return text_of(rule["target"])
    rewrite = dict_of(rewrites[0])
    is_of_model = rewrite.get("key") == "request.body.model" and len(rewrites) == 1
    is_set = rewrite.get("operation", "set") == "set"
    return text_of(rewrite.get("value")) if is_of_model and is_set else ""
