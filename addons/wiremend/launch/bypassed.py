"""Settings in the environment that lead calls past the proxy."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from wiremend.targets.hosts import domain_of

BASE_URLS = (
    "ANTHROPIC_BASE_URL",
    "OPENAI_BASE_URL",
    "OPENAI_API_BASE",
    "GOOGLE_GEMINI_BASE_URL",
    "GEMINI_BASE_URL",
)
"""Variables that give an agent or SDK another address of its provider."""


def bypassing_entries(environment: Mapping[str, str], globs: Iterable[str]) -> list[str]:
    """Return the entries of NO_PROXY that cover a host of these globs.

    Clients connect to these hosts directly. An entry covers a host of its name and, in most
    clients, all hosts below it.
    """
    listed = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    entries = [entry for entry in map(str.strip, listed.split(",")) if entry]
    hosts = [*globs]
    return [entry for entry in dict.fromkeys(entries) if any(_covers(entry, it) for it in hosts)]


def _covers(entry: str, glob: str) -> bool:
    if entry == "*":
        return True
    name = entry.lower().removeprefix("*").lstrip(".").split(":")[0]
    domain = domain_of(glob) or ""
    if not name or "." not in name or name.replace(".", "").isdigit():
        return False  # `localhost`, addresses of this machine or network
    return domain == name or domain.endswith(f".{name}") or fnmatchcase(name, glob.lower())


def no_proxy_warning(environment: Mapping[str, str], globs: Iterable[str]) -> str | None:
    """Return a line about NO_PROXY if it excludes intercepted hosts; None if it does not."""
    entries = bypassing_entries(environment, globs)
    if not entries:
        return None
    names = [name for name in ("no_proxy", "NO_PROXY") if environment.get(name)]
    shown = ", ".join(map(repr, entries))
    return (
        f"{' and '.join(names)} contains {shown}, so clients call these hosts without wiremend; "
        "remove the entry for the command that wiremend is meant for"
    )


def other_addresses(
    environment: Mapping[str, str], matches: Iterable[str] = BASE_URLS
) -> list[tuple[str, str]]:
    """Return the variables that name another address of a provider, and the host in each."""
    found = []
    for name in matches:
        if text := environment.get(name, ""):
            try:
                host = urlsplit(text).hostname or ""
            except ValueError:
                host = ""
            found.append((name, host))
    return found
