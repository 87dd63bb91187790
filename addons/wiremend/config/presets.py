"""Presets of providers: what `preset` fills in, and the table of them.

A preset is expanded in the parsed TOML, before consent is checked and variables are read: its
address and its variable belong to the reach of a file like those that the user writes.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from wiremend.config.values import did_you_mean
from wiremend.secrets import may_hold_credential
from wiremend.targets.registry import PRESETS, PRESETS_BY_NAME, facts_of_preset
from wiremend.targets.vendor import Preset

_OWN_CREDENTIALS = ("api_key", "api_keys", "api_key_file")
_UNMEASURED = "†"
UNMEASURED = f"{_UNMEASURED} From documentation and reports; not measured."
"""The footnote of the table."""


def with_presets(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a file with those of each provider's preset; what is written counts.

    The key is filled in only if the call goes to the preset's own address, and if no other
    credential is written. Unknown presets are left to the validation.
    """
    providers = values.get("providers")
    if not isinstance(providers, dict):
        return values
    return {**values, "providers": {name: _expanded(table) for name, table in providers.items()}}


def supplied_variable(provider: Any) -> str:
    """Return the variable of the key that the preset of a provider, as written, fills in; or ""."""
    preset = _preset_in(provider)
    if preset is None or provider.get("base_url", preset.base_url) != preset.base_url:
        return ""
    headers = provider.get("headers")
    names = headers if isinstance(headers, dict) else {}
    is_given = any(key in provider for key in _OWN_CREDENTIALS)
    return "" if is_given or any(map(may_hold_credential, names)) else preset.key_variable


def problem_of_preset(name: str) -> str:
    """Return why there is no such preset, with the names that there are; "" if there is one."""
    if name in PRESETS_BY_NAME:
        return ""
    listed = ", ".join(preset.name for preset in PRESETS)
    hint = did_you_mean(name, PRESETS_BY_NAME)
    return f"there is no preset {name!r}{hint}{'' if hint else ';'} the presets are {listed}"


def facts_host(preset: str | None, base_url: str) -> str:
    """Return the host whose facts apply to a provider with this preset, if it is at another one."""
    own = "" if preset is None else PRESETS_BY_NAME[preset].base_url
    return "" if own in ("", base_url) else urlsplit(own).hostname or ""


def _preset_in(provider: Any) -> Preset | None:
    name = provider.get("preset") if isinstance(provider, dict) else None
    return PRESETS_BY_NAME.get(name) if isinstance(name, str) else None


def _expanded(provider: Any) -> Any:
    preset = _preset_in(provider)
    if preset is None:
        return provider
    protocols = dict(preset.protocols)
    only = protocols.get("*", "") if len(protocols) == 1 else ""
    filled: dict[str, Any] = {"base_url": preset.base_url, "protocol": only or protocols}
    if variable := supplied_variable(provider):
        filled["api_key"] = f"${{{variable}}}"
    return {**filled, **provider}


# The table


def table_in_markdown() -> str:
    """Return the table of presets, and the one of what is known of their models."""
    lines = ["| preset | address | protocol | key |", "|---|---|---|---|"]
    for preset in PRESETS:
        names = ", ".join(f"`{name}`" for name in (preset.name, *preset.aliases))
        protocols = ", ".join(f"`{text}`" for text in _protocols(preset))
        mark = _mark(preset.is_measured)
        lines.append(
            f"| {names} | `{preset.base_url}`{mark} | {protocols}{mark} | `{preset.key_variable}` |"
        )
    facts = ["| preset | models | what they take |", "|---|---|---|"]
    for presets, models, text in _facts():
        globs = ", ".join(f"`{glob}`" for glob in models)
        facts.append(f"| {', '.join(f'`{name}`' for name in presets)} | {globs} | {text} |")
    return "\n".join([*lines, "", *facts, "", UNMEASURED])


def table_in_text() -> str:
    """Return the same for a terminal."""
    lines = []
    for preset in PRESETS:
        aliases = f" ({', '.join(preset.aliases)})" if preset.aliases else ""
        mark = _mark(preset.is_measured)
        lines += [
            f"{preset.name}{aliases}",
            f"  address   {preset.base_url}{mark}",
            f"  protocol  {', '.join(_protocols(preset))}{mark}",
            f"  key       {preset.key_variable}",
        ]
        lines += [
            f"  {', '.join(models)}: {text.replace('`', '')}"
            for names, models, text in _facts()
            if preset.name in names
        ]
    return "\n".join([*lines, "", UNMEASURED])


def _protocols(preset: Preset) -> Iterator[str]:
    for glob, protocol in preset.protocols.items():
        yield protocol if len(preset.protocols) == 1 else f"{glob}: {protocol}"


def _facts() -> Iterator[tuple[tuple[str, ...], tuple[str, ...], str]]:
    """Yield the presets that have a fact in common, its models, and the fact."""
    by_fact: dict[tuple[tuple[str, ...], str], list[str]] = {}
    for preset in PRESETS:
        for fact in facts_of_preset(preset):
            text = f"{fact.reason}{_mark(fact.is_measured)}"
            by_fact.setdefault((fact.models, text), []).append(preset.name)
    for (models, text), names in by_fact.items():
        yield tuple(names), models, text


def _mark(is_measured: bool) -> str:
    return "" if is_measured else f" {_UNMEASURED}"
