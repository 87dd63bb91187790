"""The configuration in force, and what follows from it; replaced whole when the file changes.

Consent: `wiremend.toml` in the working directory is used only if its content was allowed, or if it
reaches nothing (see `consent`). A file that the user named, and the user's own, need no consent.
While the proxy runs, an edit of the file in force that reaches nothing new is taken and counts as
allowed; any other edit is refused until its content is allowed. A file that vanishes or is emptied
keeps the configuration in force.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from wiremend.catalogue import catalogue
from wiremend.config.allowed_contents import AllowedContents, NotAllowed
from wiremend.config.consent import Reach, key_files, reach
from wiremend.config.key_files import is_behind_link, key_file_path
from wiremend.config.load import (
    FILE_NAME,
    ConfigError,
    Document,
    check_document,
    config_of,
    find_config,
    read_document,
)
from wiremend.config.model import Config
from wiremend.config.settings import settings_of
from wiremend.secrets import secret_values
from wiremend.targets.hosts import InterceptedHosts

_Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class _InForce:
    """Where the configuration in force was looked for, and what was found."""

    option: str = ""
    directory: Path = Path()
    path: Path | None = None
    reach: Reach = frozenset()
    """What it may reach by consent; empty for a file that needs none."""

    def needs_consent(self, path: Path) -> bool:
        return not self.option and path == self.directory / FILE_NAME


@dataclass(frozen=True, slots=True)
class _Watch:
    """The file that discovery found, and the state of every file that decides what it means."""

    found: Path | None = None
    stamps: Mapping[Path, _Stamp] = field(default_factory=dict)

    def including(self, *files: Path) -> "_Watch":
        return replace(self, stamps={**self.stamps, **{file: _stamp_of(file) for file in files}})

    def renewed(self, found: Path | None) -> "_Watch":
        """The same files as they are now, with what discovery finds now."""
        return _Watch(found).including(*self.stamps, *([found] if found else []))


class CurrentConfig:
    """What the addons look at for each call. A failed read changes nothing.

    `environ` contains the variables for secrets and for the user's directories, by default those
    of the process.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._allowed = AllowedContents(self._environ)
        self._codes = [rule.code for rule in catalogue()]
        self._in_force = _InForce()
        self._watch = _Watch()
        self._changing: _Watch | None = None
        self.config = Config()
        """The configuration in force; `settings` and the rest are made from it."""
        self._apply(self.config)

    @property
    def path(self) -> Path | None:
        """The file in force; None for the built-in defaults."""
        return self._in_force.path

    @property
    def source(self) -> str:
        """Where it came from, for people."""
        return str(self.path) if self.path else "built-in defaults"

    def read(self, option: str, directory: Path, *, allow: bool = False) -> None:
        """Read the file named by the option, else the first one that discovery finds, if any.

        `allow` is the user's consent to the present content of `wiremend.toml` in the directory.
        Raises ConfigError, whose text lists what is wrong, and NotAllowed without consent.
        """
        found = find_config(option, directory, self._environ)
        watch = self._watch
        try:
            self._take(found, _InForce(option, directory), allow=allow)
        except ConfigError:
            self._watch = watch
            raise

    def reread_if_changed(self) -> bool:
        """Read again if a file was changed, came or went since; True if it was read.

        A change counts when two calls see the same state: an editor may empty a file before it
        writes it. Raises ConfigError once for each change that is refused.
        """
        found = self._watch.found
        if not self._in_force.option:
            found = find_config("", self._in_force.directory, self._environ)
        now = self._watch.renewed(found)
        if now == self._watch:
            self._changing = None
            return False
        if now != self._changing:
            self._changing = now
            return False
        self._changing = None
        self._watch = _Watch().renewed(found)
        path = self._in_force.path
        if path and not os.path.lexists(path):  # not a wish to go back to defaults
            raise ConfigError(path.name, ["the file is gone"])
        self._take(found, self._in_force)
        return True

    def _take(self, found: Path | None, before: _InForce, *, allow: bool = False) -> None:
        """Put the file in force if it is valid, and allowed or adds nothing to `before`.

        The watch is renewed first, so that each change is read once.
        """
        self._watch = _Watch().renewed(found)
        if found is None:
            self._in_force = replace(before, path=None, reach=frozenset())
            self._apply(Config())
            return
        document = read_document(found, must_be_regular=not before.option)
        if found == before.path and not document.data.strip():
            raise ConfigError(found.name, ["the file is empty"])
        reached: Reach = frozenset()
        if before.needs_consent(found):
            check_document(document, self._codes)
            _check_key_files(document)
            reached = reach(document.values)
            if not allow:
                self._ask(document, reached, before)
        keys = [key_file_path(name, found.parent) for name in key_files(document.values)]
        self._watch = self._watch.including(*keys)
        config = config_of(document, self._environ, self._codes)
        if reached:
            self._record(document, must_succeed=allow)
        self._in_force = replace(before, path=found, reach=reached)
        self._apply(config)

    def _ask(self, document: Document, reached: Reach, before: _InForce) -> None:
        """Raise NotAllowed if a document adds to what is in force and was not allowed."""
        new = reached - before.reach
        if not new or self._allowed.contains(document):
            return
        # Once the content is allowed elsewhere, its record appears.
        self._watch = self._watch.including(self._allowed.record(document))
        raise NotAllowed(document.path, new, is_running=before is self._in_force)

    def _record(self, document: Document, *, must_succeed: bool) -> None:
        """Record that a document is allowed; if that may fail, the next start asks for it."""
        with suppress(*([] if must_succeed else [ConfigError])):
            if not self._allowed.contains(document):
                self._allowed.add(document)

    def _apply(self, config: Config) -> None:
        self.config = config
        self.settings = settings_of(config, self._codes)
        self.secrets = frozenset[str]().union(
            *(
                secret_values([*address.headers.items(), ("x-api-key", address.api_key)])
                for address in self.settings.providers.values()
            )
        )
        provider_hosts = [provider.host for provider in config.providers.values()]
        self.intercepted = InterceptedHosts([*provider_hosts, *config.intercept.hosts])


def _check_key_files(document: Document) -> None:
    """Raise ConfigError if the key in a named file would be that of another file.

    Consent is for the files that are named.
    """
    directory = document.path.parent
    problems = [
        f"the key file {name!r} is, or is behind, a symbolic link; name the file that it leads to"
        for name in key_files(document.values)
        if is_behind_link(name, directory)
    ]
    if problems:
        raise ConfigError(document.path.name, problems)


def _stamp_of(path: Path) -> _Stamp:
    """What changes with a file: its time, size and mode; None while it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_mode
