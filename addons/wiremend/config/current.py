"""The configuration in force, and what follows from it; replaced whole when the file changes."""

from collections.abc import Iterable
from pathlib import Path

from wiremend.calls import InterceptedHosts
from wiremend.config import Config, find_config, load_config
from wiremend.config.key_files import named_key_files
from wiremend.engine.call_settings import Heartbeat, Timeouts
from wiremend.engine.retry import RetryPolicy
from wiremend.rules.access import key_refusal
from wiremend.rules.catalogue import catalogue
from wiremend.rules.fire_and_forget import FireAndForget
from wiremend.rules.lessons import Lesson, PlacedLesson
from wiremend.rules.message_rules import MESSAGE_CODES
from wiremend.rules.routing import ProviderAddress
from wiremend.rules.secrets import secret_values

_Stamp = tuple[int, int, int] | None


class CurrentConfig:
    """What the addons look at for each call. A failed read changes nothing."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._files: tuple[Path, ...] = ()
        self._stamps: list[_Stamp] = []
        self._option = ""
        self._directory = Path()
        self._apply(Config())

    @property
    def source(self) -> str:
        """Where it came from, for people."""
        return str(self._path) if self._path else "built-in defaults"

    def read(self, option: str, directory: Path) -> None:
        """Read the file named by the option, else `wiremend.toml` in the directory, else nothing.

        Raises ConfigError, whose text says what is wrong where.
        """
        path = find_config(option, directory)
        files = _files_of(path)
        stamps = _stamps_of(files)
        config = load_config(path, known_codes=[rule.code for rule in catalogue()])
        self._path, self._files, self._stamps = path, files, stamps
        self._option, self._directory = option, directory
        self._apply(config)

    def reread_if_changed(self) -> bool:
        """Read again if a file was changed, came or went since; True if it was read.

        Raises ConfigError once for each change that is wrong.
        """
        path = find_config("", self._directory) if not self._option else self._path
        if path == self._path and _stamps_of(self._files) == self._stamps:
            return False
        self._path, self._files = path, _files_of(path)
        self._stamps = _stamps_of(self._files)
        self.read(self._option, self._directory)
        return True

    def dialect_of(self, provider: str, host: str) -> str | None:
        """The dialect that the configuration names for this provider, or for one at this host."""
        named = self.config.providers.get(provider)
        if named is not None and named.schema_dialect is not None:
            return named.schema_dialect
        at_host = (one for one in self.config.providers.values() if one.host == host)
        return next((one.schema_dialect for one in at_host if one.schema_dialect), None)

    def address_of(self, provider: str, host: str) -> ProviderAddress | None:
        """The configured provider of this name, else one at this host."""
        named = self.providers.get(provider)
        at_host = (
            self.providers[n] for n, one in self.config.providers.items() if one.host == host
        )
        return named or next(at_host, None)

    def key_refusal(self, headers: Iterable[tuple[str, str]]) -> str | None:
        """Why a request with these headers may not use a configured key; None if it may."""
        return key_refusal(headers, self._origins)

    def _apply(self, config: Config) -> None:
        self.config = config
        codes = [rule.code for rule in catalogue()]
        self.disabled = config.disabled_codes(codes)
        self.mending_codes = frozenset(code for code in codes if code.startswith("S"))
        self.lessons = tuple(
            PlacedLesson(one.provider, one.model, Lesson(one.kind, value=one.value, tool=one.tool))
            for one in config.lessons
        )
        self.providers = {
            name: ProviderAddress(
                name,
                provider.base_url,
                provider.api_key.get_secret_value(),
                {header: value.get_secret_value() for header, value in provider.headers.items()},
                _message_codes(provider.message_rules),
                provider.max_output_tokens,
            )
            for name, provider in config.providers.items()
        }
        self.secrets = frozenset[str]().union(
            *(
                secret_values([*address.headers.items(), ("x-api-key", address.api_key)])
                for address in self.providers.values()
            )
        )
        provider_hosts = [p.host for p in config.providers.values()]
        self.intercepted = InterceptedHosts([*provider_hosts, *config.intercept.hosts])
        self._origins = frozenset(config.access.origins)
        self.fire_and_forget = FireAndForget(config.fire_and_forget.paths)
        self.timeouts = Timeouts(**config.timeouts.model_dump())
        self.heartbeat = Heartbeat(config.heartbeat.after, config.heartbeat.interval)
        self.retry = RetryPolicy(
            attempts=config.retry.attempts,
            backoff_initial_seconds=config.retry.backoff_initial,
            backoff_max_seconds=config.retry.backoff_max,
            max_elapsed_seconds=config.retry.max_elapsed,
            retry_after_max_seconds=config.retry.retry_after_max,
        )


def _message_codes(opted: tuple[str, ...] | None) -> frozenset[str] | None:
    """The codes that a provider's `message_rules` stand for."""
    if opted is None:
        return None
    return frozenset(code for code in MESSAGE_CODES if code.startswith(opted))


def _files_of(path: Path | None) -> tuple[Path, ...]:
    """The files that make up a configuration: its own, and those with keys."""
    return (path, *named_key_files(path)) if path else ()


def _stamps_of(files: tuple[Path, ...]) -> list[_Stamp]:
    return [_stamp_of(file) for file in files]


def _stamp_of(path: Path) -> _Stamp:
    """What changes with a file: its time, size and mode; None while it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_mode
