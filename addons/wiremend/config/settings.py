"""Converting the configuration to the engine's settings."""

from collections.abc import Mapping, Sequence

from wiremend.adapt.lessons import Lesson, PlacedLesson
from wiremend.adapt.rejection_recovery import AmendmentLimits
from wiremend.config.attempt_limits import RetryChanges, TimeoutChanges
from wiremend.config.model import Config
from wiremend.config.presets import facts_host
from wiremend.config.providers import Provider
from wiremend.config.routes import ModelRoute
from wiremend.config.values import selected_codes
from wiremend.engine.health import HealthLimits
from wiremend.engine.retry import RetryPolicy
from wiremend.engine.settings import Heartbeat, Settings, Timeouts
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import FieldChanges
from wiremend.protocols.registry import MESSAGE_CODES
from wiremend.routing.fire_and_forget import FireAndForget
from wiremend.routing.limits import NO_CHANGES, LimitChanges
from wiremend.routing.match import Route
from wiremend.routing.providers import ProviderAddress


def settings_of(config: Config, codes: Sequence[str]) -> Settings:
    """Return the engine's settings for this configuration. `codes` are those of all rules."""
    return Settings(
        timeouts=Timeouts(**config.timeouts.model_dump()),
        heartbeat=Heartbeat(config.heartbeat.after, config.heartbeat.interval),
        retry=RetryPolicy(
            attempts=config.retry.attempts,
            backoff_initial_seconds=config.retry.backoff_initial,
            backoff_max_seconds=config.retry.backoff_max,
            max_elapsed_seconds=config.retry.max_elapsed,
            retry_after_max_seconds=config.retry.retry_after_max,
            silent_stop=config.retry.silent_stop,
        ),
        health=HealthLimits(
            retry_floor=float(config.retry.budget),
            failures=config.breaker.failures,
            pause_seconds=config.breaker.pause,
            pause_max_seconds=config.breaker.pause_max,
        ),
        routes=tuple(
            Route(
                match=entry.match,
                when=entry.when,
                model=entry.model,
                provider=entry.provider,
                fallback=entry.fallback,
                stream=entry.stream,
                changes=_changes_of(entry),
                limits=_limits_of(entry),
                disabled=selected_codes(codes, entry.disable),
            )
            for entry in config.models
        ),
        providers={
            name: _address_of(name, provider, codes) for name, provider in config.providers.items()
        },
        origins=frozenset(config.access.origins),
        disabled=config.disabled_codes(codes),
        reports_only=config.rules.mode == "report",
        stream_codes=frozenset(code for code in codes if code.startswith("S")),
        lessons=tuple(
            PlacedLesson(
                entry.provider,
                entry.model,
                Lesson(entry.kind, value=entry.value, tool=entry.tool),
            )
            for entry in config.lessons
        ),
        amendments=AmendmentLimits(config.learning.max_amendments, config.learning.max_elapsed),
        fire_and_forget=FireAndForget(config.fire_and_forget.paths),
        ack_after_seconds=config.fire_and_forget.ack_after,
        held_limit_bytes=config.memory.held * 2**20,
    )


def _address_of(name: str, provider: Provider, codes: Sequence[str]) -> ProviderAddress:
    keys = [key.get_secret_value() for key in provider.api_keys or (provider.api_key,)]
    return ProviderAddress(
        name,
        provider.base_url,
        keys[0],
        {header: value.get_secret_value() for header, value in provider.headers.items()},
        _message_codes(provider.message_rules),
        provider.max_output_tokens,
        provider.schema_dialect,
        drops_refused=provider.on_unsupported == "drop",
        changes=_changes_of(provider),
        disabled=selected_codes(codes, provider.disable),
        leaked_formats=provider.leaked_calls,
        protocols=_protocols_of(provider.protocol),
        more_keys=tuple(keys[1:]),
        limits=_limits_of(provider),
        known_as=facts_host(provider.preset, provider.base_url),
    )


def _protocols_of(
    protocol: str | Mapping[str, str] | None,
) -> tuple[tuple[str, WireProtocol], ...]:
    if protocol is None:
        return ()
    table = {"*": protocol} if isinstance(protocol, str) else protocol
    return tuple((glob, WireProtocol.parse(name)) for glob, name in table.items())


def _limits_of(entry: ModelRoute | Provider) -> LimitChanges:
    if entry.timeouts is None and entry.retry is None:
        return NO_CHANGES
    timeouts, retry = entry.timeouts or TimeoutChanges(), entry.retry or RetryChanges()
    return LimitChanges(
        **timeouts.model_dump(),
        attempts=retry.attempts,
        backoff_initial_seconds=retry.backoff_initial,
        backoff_max_seconds=retry.backoff_max,
        max_elapsed_seconds=retry.max_elapsed,
        retry_after_max_seconds=retry.retry_after_max,
        silent_stop=retry.silent_stop,
        retry_floor=None if retry.budget is None else float(retry.budget),
    )


def _changes_of(entry: ModelRoute | Provider) -> FieldChanges:
    return FieldChanges(rename=entry.rename, drop=entry.drop, set=entry.set)


def _message_codes(prefixes: tuple[str, ...] | None) -> frozenset[str] | None:
    """Return the codes that a provider's `message_rules` select."""
    if prefixes is None:
        return None
    return frozenset(code for code in MESSAGE_CODES if code.startswith(prefixes))
