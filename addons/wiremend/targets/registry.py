"""All vendors, and look-ups in their facts.

Requests to a target without a matching requirement receive the basic repairs only. Further limits
of a provider are learnt from its rejections (`wiremend.adapt.rejections`).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

from wiremend.protocols.base.client_traits import Deviation
from wiremend.protocols.base.middle.target import TranslationTraits
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.parameters import TOKEN_LIMIT
from wiremend.protocols.base.traits import TargetTraits
from wiremend.targets import wordings
from wiremend.targets.ai21 import AI21
from wiremend.targets.anthropic import ANTHROPIC
from wiremend.targets.deepseek import DEEPSEEK
from wiremend.targets.google import GOOGLE
from wiremend.targets.groq import GROQ
from wiremend.targets.minimax import MINIMAX
from wiremend.targets.mistral import MISTRAL
from wiremend.targets.moonshot import MOONSHOT
from wiremend.targets.openai import OPENAI
from wiremend.targets.opencode import OPENCODE
from wiremend.targets.openrouter import OPENROUTER
from wiremend.targets.qwen import QWEN
from wiremend.targets.resellers import COPILOT, DATABRICKS
from wiremend.targets.vendor import (
    LeakedCalls,
    Preset,
    Requirement,
    TranslationFact,
    Vendor,
    combined,
)
from wiremend.targets.wordings import Wording
from wiremend.targets.xai import XAI
from wiremend.targets.xiaomi import XIAOMI
from wiremend.targets.zai import ZAI

VENDORS: tuple[Vendor, ...] = (
    ANTHROPIC,
    OPENAI,
    DEEPSEEK,
    GOOGLE,
    XAI,
    MOONSHOT,
    MINIMAX,
    MISTRAL,
    QWEN,
    ZAI,
    XIAOMI,
    GROQ,
    OPENCODE,
    OPENROUTER,
    COPILOT,
    DATABRICKS,
    AI21,
)
"""All vendors; the only list of them."""

_DEVIATING = tuple(vendor for vendor in VENDORS if vendor.deviations)

_LEAKING = tuple(vendor for vendor in VENDORS if vendor.leaked_calls)
_GATEWAYS = tuple(host for vendor in VENDORS if vendor.is_gateway for host in vendor.hosts)
"""Globs of the hosts of gateways."""

PRESETS: tuple[Preset, ...] = tuple(preset for vendor in VENDORS for preset in vendor.presets)
"""All presets."""
PRESETS_BY_NAME: Mapping[str, Preset] = {
    name: preset for preset in PRESETS for name in (preset.name, *preset.aliases)
}
"""The presets by their names and aliases."""

NAMES_BY_DIALECT: Mapping[str, NameLimit] = {
    dialect: limit for vendor in VENDORS for dialect, limit in vendor.name_limits.items()
}
"""By dialect, the names that its providers allow for tools."""

REJECTIONS: tuple[Wording, ...] = (
    *(wording for vendor in VENDORS for wording in vendor.rejections),
    *wordings.TRAITS,
    *wordings.GENERAL,
)
"""All wordings of rejections, in the order in which they are tried."""

TOO_MANY_TOOLS = "|".join(
    filter(None, (*(vendor.too_many_tools for vendor in VENDORS), wordings.TOO_MANY_TOOLS))
)
"""A pattern that matches the error messages for too many tools."""

STATUS_BY_CODE: Mapping[int, int] = {
    code: status for vendor in VENDORS for code, status in vendor.status_by_code.items()
}
"""The HTTP status for each vendor-specific error number."""

STATUS_BY_FINISH_REASON: Mapping[str, int] = {
    reason: status
    for vendor in VENDORS
    for reason, status in vendor.status_by_finish_reason.items()
}
"""The HTTP status for each vendor-specific finish reason that reports a failure."""


def deviations_at(protocol: WireProtocol, host: str) -> frozenset[Deviation]:
    """Return how the everyday responses of this host depart from the protocol's grammar."""
    for vendor in _DEVIATING:
        if protocol in vendor.deviations and _matches(host.lower(), vendor.hosts):
            return vendor.deviations[protocol]
    return frozenset()


def session_header_at(host: str) -> str:
    """Return the header in which this host requires an id of the session; empty: it does not."""
    for vendor in VENDORS:
        if vendor.session_header and _matches(host.lower(), vendor.hosts):
            return vendor.session_header
    return ""


def traits_of(
    protocol: WireProtocol,
    host: str,
    model: str,
    *,
    dialect: str | None = None,
    rules: frozenset[str] | None = None,
    max_output_tokens: int | None = None,
) -> TargetTraits:
    """Return what a request of this protocol for this host and model must satisfy.

    The other arguments are from the provider's configuration: `dialect` replaces the vendor's
    dialect and limit on names, `rules` the codes of its rules on messages and parameters, and
    `max_output_tokens` adds a limit.
    """
    traits = combined(tuple(_requirements_of(protocol, host.lower(), model.lower())))
    if dialect is not None:
        traits = replace(traits, dialect=dialect, names=NAMES_BY_DIALECT.get(dialect))
    if rules is None and max_output_tokens is None:
        return traits
    codes = traits.messages.rules if rules is None else rules
    if max_output_tokens is not None:
        codes |= {TOKEN_LIMIT.code}
    messages = replace(traits.messages, rules=codes, max_output_tokens=max_output_tokens)
    return replace(traits, messages=messages)


def facts_of_preset(preset: Preset) -> list[TranslationFact]:
    """Return what is known of requests that are translated for this preset.

    Facts about the models that other vendors have at a gateway are not among them.
    """
    host = urlsplit(preset.base_url).hostname or ""
    return [
        fact
        for vendor in VENDORS
        if _matches(host, vendor.hosts)
        for fact in vendor.translation
        if fact.hosts is None or _matches(host, fact.hosts)
        if any(WireProtocol.parse(name) in fact.protocols for name in preset.protocols.values())
    ]


def translation_traits(protocol: WireProtocol, host: str, model: str) -> TranslationTraits:
    """Return what this host and model take of a request that is translated for them."""
    members: dict[str, Any] = {}
    for fact in _translation_facts(protocol, host.lower(), model.lower()):
        members |= fact.traits
    return TranslationTraits(**members)


def leaked_formats(protocol: WireProtocol, host: str, model: str) -> tuple[str, ...]:
    """Return the formats in which this model at this host is known to write calls as text."""
    host, name = host.lower(), model.lower().rpartition("/")[2]
    at_gateway = _matches(host, _GATEWAYS)
    leaks = [
        leak
        for vendor in _LEAKING
        if at_gateway or _matches(host, vendor.hosts)
        for leak in vendor.leaked_calls
        if _applies(
            leak,
            protocol,
            host,
            name,
            is_vendors=_is_of(vendor, host, name, at_gateway=at_gateway),
            at_gateway=at_gateway,
        )
    ]
    return tuple(dict.fromkeys(format for leak in leaks for format in leak.formats))


def _requirements_of(protocol: WireProtocol, host: str, model: str) -> Iterator[Requirement]:
    name = model.rpartition("/")[2]
    at_gateway = _matches(host, _GATEWAYS)
    for vendor in VENDORS:
        is_vendors = _is_of(vendor, host, name, at_gateway=at_gateway)
        for requirement in vendor.requirements:
            if _applies(
                requirement, protocol, host, name, is_vendors=is_vendors, at_gateway=at_gateway
            ):
                yield requirement


def _translation_facts(protocol: WireProtocol, host: str, model: str) -> Iterator[TranslationFact]:
    name = model.rpartition("/")[2]
    at_gateway = _matches(host, _GATEWAYS)
    for vendor in VENDORS:
        is_vendors = _is_of(vendor, host, name, at_gateway=at_gateway)
        for fact in vendor.translation:
            by_model = at_gateway and not vendor.is_gateway
            if _applies(fact, protocol, host, name, is_vendors=is_vendors, at_gateway=by_model):
                yield fact


def _is_of(vendor: Vendor, host: str, model: str, *, at_gateway: bool) -> bool:
    """Return whether this is a host of the vendor; at a gateway, whether this is its model."""
    by_model = at_gateway and not vendor.is_gateway
    return _matches(model, vendor.models) if by_model else _matches(host, vendor.hosts)


def _applies(
    fact: Requirement | LeakedCalls | TranslationFact,
    protocol: WireProtocol,
    host: str,
    model: str,
    *,
    is_vendors: bool,
    at_gateway: bool,
) -> bool:
    """Return whether a fact about a vendor concerns this host and model, both in lower case.

    `is_vendors` is the answer of `_is_of` for the vendor.
    """
    if protocol not in fact.protocols:
        return False
    if at_gateway:
        return is_vendors if fact.at_gateways is None else _matches(model, fact.at_gateways)
    is_here = is_vendors if fact.hosts is None else _matches(host, fact.hosts)
    return is_here and _matches(model, fact.models)


def _matches(text: str, globs: Iterable[str]) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs)
