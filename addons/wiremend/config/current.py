"""The configuration in force and values derived from it, replaced as a whole on each reload.

Consent: `wiremend.toml` in the working directory is used only if its content was allowed, or if
its reach is empty (see `consent`). A file given by the option, and the one in the user's
configuration directory, need no consent. While the proxy runs, an edit of the file in force that
adds nothing to the reach is applied and counts as allowed; any other edit is refused until its
content is allowed.

Reload: a change counts when two consecutive looks find the same files with the same content, and
what is applied is that content. A file that is deleted, empty, no regular file, too large or
invalid is reported once, and the configuration in force is kept. All values that derive from a
file are computed before any of them is replaced.
"""

import os
from collections.abc import Callable, Mapping, Sequence, Set
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
    parse_document,
    read_bytes,
)
from wiremend.config.model import Config
from wiremend.config.settings import settings_of
from wiremend.config.suspicious import Suspicion, suspicious_settings
from wiremend.config.values import did_you_mean
from wiremend.engine.settings import Settings
from wiremend.secrets import secret_values
from wiremend.targets.hosts import InterceptedHosts

_Stamp = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class _InForce:
    """The file in force, and where it was searched."""

    option: str = ""
    directory: Path = Path()
    path: Path | None = None
    reach: Reach = frozenset()
    """The reach that the user consented to; empty for a file that needs no consent."""
    suspicions: tuple[Suspicion, ...] = ()

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


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at a changed file found."""

    watch: _Watch
    content: bytes | tuple[str, ...] | None
    """The bytes of the file; the problems if it cannot be read; None if there is no file."""


@dataclass(frozen=True, slots=True)
class _Derived:
    """A configuration, and everything that is computed from it."""

    config: Config
    settings: Settings
    secrets: frozenset[str]
    intercepted: InterceptedHosts
    unvouched: tuple[str, ...]


type Unvouched = Callable[[Sequence[str]], Set[str]]
"""Returns those of some host globs for whose hosts the CA may not sign."""


class CurrentConfig:
    """The configuration that the addons use for each call. A failed read does not change it.

    `environ` contains the variables for secrets and for the user's directories, by default those
    of the process.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.is_off = False
        """Whether traffic passes unchanged, whatever the configuration."""
        self._environ = os.environ if environ is None else environ
        self._allowed = AllowedContents(self._environ)
        self._codes = [rule.code for rule in catalogue()]
        self._switched: dict[str, bool] = {}
        """By code: whether a rule is off, whatever the file says."""
        self._in_force = _InForce()
        self._watch = _Watch()
        self._changing: _Look | None = None
        self._is_refused = False
        """Whether the last change was refused."""
        self._unvouched: Unvouched = lambda _: frozenset()
        self._derived = self._derive(Config())

    def limit_interception(self, unvouched: Unvouched) -> None:
        """Do not intercept hosts for which the proxy's CA may not sign, now and after reloads."""
        self._unvouched = unvouched
        self._derived = self._derive(self._derived.config)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self._derived.config

    @property
    def settings(self) -> Settings:
        """The engine's settings."""
        return self._derived.settings

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets in the configuration."""
        return self._derived.secrets

    @property
    def intercepted(self) -> InterceptedHosts:
        """The hosts whose TLS is intercepted."""
        return self._derived.intercepted

    @property
    def unvouched(self) -> tuple[str, ...]:
        """The globs that the configuration adds, but for whose hosts the CA may not sign."""
        return self._derived.unvouched

    @property
    def path(self) -> Path | None:
        """The file in force; None for the built-in defaults."""
        return self._in_force.path

    @property
    def warnings(self) -> tuple[str, ...]:
        """A line with file name and problem for each suspicious setting of the file in force."""
        name = self.path.name if self.path else ""
        return tuple(f"{name}: warning: {it}" for it in self._in_force.suspicions)

    @property
    def suspicions(self) -> tuple[Suspicion, ...]:
        """The suspicious settings of the file in force."""
        return self._in_force.suspicions

    @property
    def lesson_file(self) -> Path | None:
        """The file in which lessons are kept; None: they are kept in memory only."""
        name = self.config.learning.file
        if not name or self.path is None:
            return None
        return key_file_path(name, self.path.parent)

    @property
    def source(self) -> str:
        """The file in force as text for the user."""
        return str(self.path) if self.path else "built-in defaults"

    def switch_rules(self, prefixes: Sequence[str], *, is_off: bool) -> tuple[str, ...]:
        """Switch rules off or on until the process ends, whatever `[rules] disable` says.

        `prefixes` are codes or the beginnings of codes. Returns the codes of the rules. Raises
        ValueError for one that matches no rule.
        """
        for prefix in prefixes:
            if not prefix or not any(code.startswith(prefix) for code in self._codes):
                hint = did_you_mean(prefix, self._codes)
                raise ValueError(f"no rule has the code {prefix!r}, or one that begins so{hint}")
        codes = tuple(code for code in self._codes if code.startswith(tuple(prefixes)))
        self._switched |= dict.fromkeys(codes, is_off)
        self._derived = self._derive(self._derived.config)
        return codes

    @property
    def switched_rules(self) -> Mapping[str, bool]:
        """The codes of rules that were switched by hand, and whether they are off."""
        return self._switched

    def read(
        self, option: str, directory: Path, *, allow: bool = False, is_running: bool = False
    ) -> None:
        """Read the file given by the option, otherwise the one that discovery returns, if any.

        `allow` is the user's consent to the present content of `wiremend.toml` in the directory.
        A running proxy must not wait, so it reads no pipe. Raises ConfigError, whose text lists
        all problems, and NotAllowed if consent is missing.
        """
        discovered = find_config(option, directory, self._environ)
        watch, must_be_regular = self._watch, is_running or not option
        self._watch = _Watch().renewed(discovered)
        try:
            content = None
            if discovered is not None:
                content = read_bytes(discovered, must_be_regular=must_be_regular)
            self._load(discovered, content, _InForce(option, directory), allow=allow)
        except Exception:
            self._watch = watch
            raise

    def reread_if_changed(self) -> bool:
        """Read again if a file was changed, created or deleted; return whether that is news.

        A change is read when two consecutive calls find the same files and the same content,
        since an editor may truncate a file before it writes it. It is news if it changes the
        configuration, or ends what was refused. Raises ConfigError once for each refused change.
        """
        try:
            is_read = self._reread_if_changed()
        except ConfigError:
            self._is_refused = True
            raise
        if is_read:
            self._is_refused = False
        return is_read

    def _reread_if_changed(self) -> bool:
        discovered = self._watch.discovered
        if not self._in_force.option:
            discovered = find_config("", self._in_force.directory, self._environ)
        now = self._watch.renewed(discovered)
        if now == self._watch:
            self._changing = None
            return False
        look = _Look(now, _content_of(discovered))
        if look != self._changing:
            self._changing = look
            return False
        self._changing = None
        self._watch = before = _Watch().renewed(discovered)
        if any(before.stamps[file] != now.stamps.get(file) for file in before.stamps):
            self._watch = _Watch()  # changed since it was read: look again
            return False
        path = self._in_force.path
        if path and not os.path.lexists(path):  # probably not a request for the defaults
            raise ConfigError(path.name, ["the file was deleted"])
        if isinstance(look.content, tuple):
            assert discovered is not None
            raise ConfigError(discovered.name, look.content)
        return self._load(discovered, look.content, self._in_force)

    def _load(
        self,
        discovered: Path | None,
        content: bytes | None,
        before: _InForce,
        *,
        allow: bool = False,
    ) -> bool:
        """Apply a file's content if it is valid, and allowed or adds nothing to what is reached.

        Nothing but the watch changes before everything is known to be usable. Returns whether
        this is news; see `reread_if_changed`.
        """
        if discovered is None or content is None:
            self._in_force = replace(before, path=None, reach=frozenset(), suspicions=())
            self._derived = self._derive(Config())
            return True
        is_reload = before is self._in_force
        document = parse_document(discovered, content)
        if is_reload and not document.values and self.config != Config():
            problem = "contains no setting" if content.strip() else "is empty"
            raise ConfigError(discovered.name, [f"the file {problem}"])
        reached: Reach = frozenset()
        if before.needs_consent(discovered):
            check_document(document, self._codes)
            _check_key_files(document)
            reached = reach(document.values)
            if not allow:
                self._check_consent(document, reached, before)
        keys = [key_file_path(name, discovered.parent) for name in key_files(document.values)]
        self._watch = self._watch.including(*keys)
        derived = self._derive(config_of(document, self._environ, self._codes))
        if is_reload and self._watch != self._watch.renewed(discovered):
            self._watch = _Watch()  # a key file changed while it was read: look again
            return False
        if reached:
            self._record(document, must_succeed=allow)
        is_same = before.path == discovered and derived.config == self.config
        found = suspicious_settings(derived.config, discovered, document.values)
        self._in_force = replace(before, path=discovered, reach=reached, suspicions=found)
        self._derived = derived
        return self._is_refused or not is_same

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

    def _derive(self, config: Config) -> _Derived:
        settings = settings_of(config, self._codes)
        if self._switched:
            off = {code for code, is_off in self._switched.items() if is_off}
            disabled = settings.disabled.difference(self._switched) | off
            settings = replace(settings, disabled=disabled)
        secrets = frozenset[str]().union(
            *(
                secret_values(fields)
                for address in settings.providers.values()
                for fields in (
                    address.headers.items(),
                    [("x-api-key", key) for key in address.api_keys],
                )
            )
        )
        provider_hosts = [provider.host for provider in config.providers.values()]
        intercepted = InterceptedHosts([*provider_hosts, *config.intercept.hosts])
        unvouched = self._unvouched(intercepted.globs)
        listed = tuple(glob for glob in intercepted.globs if glob in unvouched)
        return _Derived(config, settings, secrets, intercepted.without(unvouched), listed)


def _content_of(path: Path | None) -> bytes | tuple[str, ...] | None:
    """Return the content of a file as `_Look` has it."""
    if path is None:
        return None
    try:
        return read_bytes(path, must_be_regular=True)
    except ConfigError as unreadable:
        return unreadable.problems


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
    """Return what changes with any change of a file, also if another one takes its name.

    None if the file is missing, or cannot be one.
    """
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_size,
        status.st_mode,
        status.st_dev,
        status.st_ino,
    )
