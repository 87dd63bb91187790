"""The configuration in force and values derived from it, replaced as a whole on each reload.

Consent: `wiremend.toml` in the working directory is used only if its content was allowed, or if
its reach is empty (see `consent`). A file given by the option, and the one in the user's
configuration directory, need no consent. While the proxy runs, an edit of the file in force that
adds nothing to the reach is applied and counts as allowed; any other edit is refused until its
content is allowed. If the file is deleted or emptied, the configuration in force is kept.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from wiremend.catalogue import catalogue
from wiremend.config.allowed_contents import AllowedContents, NotAllowed
from wiremend.config.consent import Reach, key_files, reach
from wiremend.config.key_files import key_file_path
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
    """The file in force, and where it was searched."""

    option: str = ""
    directory: Path = Path()
    path: Path | None = None
    reach: Reach = frozenset()
    """The reach that the user consented to; empty for a file that needs no consent."""

    def needs_consent(self, path: Path) -> bool:
        return not self.option and path == self.directory / FILE_NAME


@dataclass(frozen=True, slots=True)
class _Watch:
    """The file that discovery returned, and the stamps of all files that it depends on."""

    discovered: Path | None = None
    stamps: Mapping[Path, _Stamp] = field(default_factory=dict)

    def including(self, *files: Path) -> "_Watch":
        return replace(self, stamps={**self.stamps, **{file: _stamp_of(file) for file in files}})

    def renewed(self, discovered: Path | None) -> "_Watch":
        """Return the present stamps of the same files, with what discovery returns now."""
        return _Watch(discovered).including(*self.stamps, *([discovered] if discovered else []))


class CurrentConfig:
    """The configuration that the addons use for each call. A failed read does not change it.

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
        """The configuration in force. `settings`, `secrets` and `intercepted` derive from it."""
        self._apply(self.config)

    @property
    def path(self) -> Path | None:
        """The file in force; None for the built-in defaults."""
        return self._in_force.path

    @property
    def source(self) -> str:
        """The file in force as text for the user."""
        return str(self.path) if self.path else "built-in defaults"

    def read(self, option: str, directory: Path, *, allow: bool = False) -> None:
        """Read the file given by the option, otherwise the one that discovery returns, if any.

        `allow` is the user's consent to the present content of `wiremend.toml` in the directory.
        Raises ConfigError, whose text lists all problems, and NotAllowed if consent is missing.
        """
        discovered = find_config(option, directory, self._environ)
        watch = self._watch
        try:
            self._load(discovered, _InForce(option, directory), allow=allow)
        except ConfigError:
            self._watch = watch
            raise

    def reread_if_changed(self) -> bool:
        """Read again if a file was changed, created or deleted; return whether it was read.

        A change is read when two consecutive calls observe the same state, since an editor may
        truncate a file before it writes it. Raises ConfigError once for each refused change.
        """
        discovered = self._watch.discovered
        if not self._in_force.option:
            discovered = find_config("", self._in_force.directory, self._environ)
        now = self._watch.renewed(discovered)
        if now == self._watch:
            self._changing = None
            return False
        if now != self._changing:
            self._changing = now
            return False
        self._changing = None
        self._watch = _Watch().renewed(discovered)
        path = self._in_force.path
        if path and not os.path.lexists(path):  # probably not a request for the defaults
            raise ConfigError(path.name, ["the file was deleted"])
        self._load(discovered, self._in_force)
        return True

    def _load(self, discovered: Path | None, before: _InForce, *, allow: bool = False) -> None:
        """Apply the file if it is valid, and allowed or adds nothing to the reach of `before`.

        The watch is renewed first, so that each change is read once.
        """
        self._watch = _Watch().renewed(discovered)
        if discovered is None:
            self._in_force = replace(before, path=None, reach=frozenset())
            self._apply(Config())
            return
        document = read_document(discovered)
        if discovered == before.path and not document.data.strip():
            raise ConfigError(discovered.name, ["the file is empty"])
        reached: Reach = frozenset()
        if before.needs_consent(discovered):
            check_document(document, self._codes)
            reached = reach(document.values)
            if not allow:
                self._check_consent(document, reached, before)
        keys = [key_file_path(name, discovered.parent) for name in key_files(document.values)]
        self._watch = self._watch.including(*keys)
        config = config_of(document, self._environ, self._codes)
        if reached:
            self._record(document, must_succeed=allow)
        self._in_force = replace(before, path=discovered, reach=reached)
        self._apply(config)

    def _check_consent(self, document: Document, reached: Reach, before: _InForce) -> None:
        """Raise NotAllowed if a document adds to the reach of `before` and was not allowed."""
        new = reached - before.reach
        if not new or self._allowed.contains(document):
            return
        # When the content is allowed by another process, its record appears.
        self._watch = self._watch.including(self._allowed.record(document))
        raise NotAllowed(document.path, new, is_running=before is self._in_force)

    def _record(self, document: Document, *, must_succeed: bool) -> None:
        """Record that a document is allowed. If recording fails, the next start needs consent.

        Raises ConfigError if recording fails and `must_succeed` is true.
        """
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


def _stamp_of(path: Path) -> _Stamp:
    """Return the modification time (ns), size (bytes) and mode of a file; None if missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_mode
