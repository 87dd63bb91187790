"""Settings that are valid, but unsafe or without effect. They are reported, not refused."""

import ipaddress
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wiremend.config.consent import VARIABLE
from wiremend.config.model import Config
from wiremend.config.routes import ModelRoute, When
from wiremend.secrets import is_secret_header, may_hold_credential

_ROUTED = "M001"
"""The rule without which no entry of `[[models]]` applies."""
_MINIMA = ("tools_min", "input_tokens_over", "thinking_budget_over")
"""The conditions that a larger number fulfils, too."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A setting that is probably a mistake. Its texts contain no secret."""

    text: str
    remedy: str
    route: int | None = None
    """The number of the entry of `[[models]]` that has no effect."""

    def __str__(self) -> str:
        return f"{self.text}; {self.remedy}"


def suspicious_settings(
    config: Config, path: Path, values: Mapping[str, Any]
) -> tuple[Suspicion, ...]:
    """Return the suspicious settings of a configuration.

    `path` is the file, and `values` its TOML with `${NAME}` as written.
    """
    return (
        *_ineffective_routes(config),
        *_ineffective_protocols(config),
        *_unencrypted_keys(config),
        *_public_keys(path, values),
    )


def listening_warning(listen_host: str, modes: Iterable[str]) -> str | None:
    """Return a line about a proxy that other machines can reach; None if they cannot.

    `listen_host` and `modes` are mitmproxy's options; a mode can contain an address of its own, as
    in `regular@0.0.0.0:8080`.
    """
    own = [mode.rpartition("@")[2] for mode in modes if "@" in mode]
    hosts = [address.rpartition(":")[0].strip("[]") for address in own]
    exposed = next((it for it in (listen_host, *hosts) if it and not _is_this_machine(it)), None)
    if exposed is None:
        return None
    return (
        f"the proxy listens on {exposed}, so other machines can make calls with the configured "
        "keys; leave out --listen-host, or use --listen-host 127.0.0.1, unless you want that"
    )


def saved_file_warning(file: Path) -> str | None:
    """Return a line about a file of flows that others can read; None if they cannot.

    mitmproxy creates it with the mode of the umask.
    """
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return None
    if os.name == "nt" or not mode & 0o077 or not file.is_file():
        return None
    return (
        f"{file} contains prompts, and others can read it (mode {mode:04o}); run: chmod 600 "
        f"{shlex.quote(str(file))} (umask 077 before the start prevents this, and so does "
        "scripts/run -w)"
    )


def _ineffective_routes(config: Config) -> Iterator[Suspicion]:
    if config.models and config.disabled_codes([_ROUTED]):
        yield Suspicion(
            f"[rules] disable contains {_ROUTED}, so no entry of [[models]] applies",
            "remove it, or the entries",
        )
    for number, route in enumerate(config.models):
        name = f"models[{number}] ({route.match!r}) never applies"
        if reason := _impossible(route):
            yield Suspicion(f"{name}, because {reason[0]}", reason[1], number)
            continue
        for earlier, other in enumerate(config.models[:number]):
            if _is_implied(other.when, route.when) and includes(other.match, route.match):
                yield Suspicion(
                    f"{name}, because models[{earlier}] ({other.match!r}) precedes it and matches "
                    "the same calls",
                    "swap them",
                    number,
                )
                break


def _impossible(route: ModelRoute) -> tuple[str, str] | None:
    """Return why a route can match no call, and what to do; None if it can."""
    if route.match != route.match.strip():
        return "no model's name begins or ends with a space", "remove the space"
    when = route.when
    if when is not None and when.thinking is False and when.thinking_budget_over is not None:
        text = "a call that does not ask for thinking allows no tokens for it"
        return text, "remove thinking or thinking_budget_over from `when`"
    return None


def _is_implied(weaker: When | None, stronger: When | None) -> bool:
    """Return whether every call that fulfils `stronger` certainly fulfils `weaker`."""
    given = stronger.model_dump(exclude_none=True) if stronger is not None else {}
    demanded = weaker.model_dump(exclude_none=True) if weaker is not None else {}
    return all(
        name in given and (given[name] >= value if name in _MINIMA else given[name] == value)
        for name, value in demanded.items()
    )


def includes(glob: str, text: str) -> bool:
    """Return whether a glob certainly matches all names that another one matches."""
    glob, text = glob.lower(), text.lower()
    if glob == text:
        return True
    # If `*` is the only wildcard of the glob, only `*` can match a wildcard of the text, and it
    # matches whatever that one matches.
    return not set(glob) & set("?[") and fnmatchcase(text, glob)


def _ineffective_protocols(config: Config) -> Iterator[Suspicion]:
    for name, provider in config.providers.items():
        globs = [*provider.protocol] if isinstance(provider.protocol, Mapping) else []
        for number, glob in enumerate(globs):
            first = next((other for other in globs[:number] if includes(other, glob)), None)
            if first is not None:
                yield Suspicion(
                    f"providers.{name}: the protocol of {glob!r} is never used, because {first!r} "
                    "precedes it",
                    "swap them",
                )


def _unencrypted_keys(config: Config) -> Iterator[Suspicion]:
    for name, provider in config.providers.items():
        has_key = (
            provider.api_keys
            or provider.api_key.get_secret_value()
            or any(map(may_hold_credential, provider.headers))
        )
        is_plain = urlsplit(provider.base_url).scheme.lower() == "http"
        if has_key and is_plain and not _is_this_machine(provider.host):
            yield Suspicion(
                f"providers.{name}: its key and all prompts are sent unencrypted to "
                f"{provider.host}",
                "use https:// in base_url if the provider supports it",
            )


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _public_keys(path: Path, values: Mapping[str, Any]) -> Iterator[Suspicion]:
    if os.name == "nt" or not _has_literal_key(values):
        return
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return
    if mode & 0o077:
        text = f"contains a key, and others can read it (mode {mode:04o})"
        yield Suspicion(text, f"run: chmod 600 {shlex.quote(str(path))}")


def _has_literal_key(values: Mapping[str, Any]) -> bool:
    providers: Mapping[str, Mapping[str, Any]] = values.get("providers", {})
    for provider in providers.values():
        headers = provider.get("headers", {}).items()
        secrets = [text for name, text in headers if is_secret_header(name)]
        secrets += [provider.get("api_key"), *provider.get("api_keys", ())]
        if any(text and not VARIABLE.search(text) for text in secrets):
            return True
    return False
