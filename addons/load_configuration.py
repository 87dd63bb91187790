"""Reads wiremend.toml for the other addons, at the start and after each change."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import wiremend.environment_check  # first: what follows needs more than Python
from mitmproxy import ctx, exceptions, http
from mitmproxy.addonmanager import Loader
from mitmproxy.utils import human
from mitmproxy.version import VERSION
from wiremend.adapt.lessons import LessonBook
from wiremend.config.current import CurrentConfig
from wiremend.config.lesson_file import LessonKeeper
from wiremend.config.load import ConfigError
from wiremend.config.suspicious import listening_warning
from wiremend.config.values import did_you_mean
from wiremend.engine.error_responses import direct_request_response
from wiremend.engine.settings import Feature, Knowledge
from wiremend.launch.certificate_limits import unvouched_by
from wiremend.protocols.registry import recognise
from wiremend.recording.client_requests import ClientRequests
from wiremend.routing.access import PROBE_HEADER
from wiremend.rules.containment import fault_of
from wiremend.seam.addon_hooks import contain_hooks
from wiremend.seam.call_options import CallOptions, noting_faults
from wiremend.seam.fast.paths import PARTS, FastPaths
from wiremend.seam.flow_record import record_refusal
from wiremend.seam.flows import answer, is_direct
from wiremend.seam.installation import Seam
from wiremend.seam.process.freed_memory import keep_freed_buffers, return_freed_memory
from wiremend.seam.process.listener import LoopbackListener
from wiremend.seam.process.loop_watchdog import LoopWatchdog
from wiremend.seam.process.open_files import AcceptFailures, raise_open_files_limit
from wiremend.seam.process.own_authority import authority_problem
from wiremend.seam.process.scripts import LoadedSources, keep_loaded
from wiremend.views.flow_findings import report_refusal

WATCH_SECONDS = 1.0
HIDE_SECONDS = 0.5
OPTION_PREFIX = "wiremend_"
KEEP = ("auto", "always", "never")
"""The values of `wiremend_keep`; mitmproxy does not check the choices of an option."""
SHELLS = Path(__file__).parent

logger = logging.getLogger("wiremend")


class LoadConfiguration:
    """Owns the options, the file and the seam; other addons read the current configuration."""

    refuses_after_fault = frozenset({"requestheaders"})

    def __init__(self, suite: "Suite", features: frozenset[Feature], name: str) -> None:
        self.name = f"wiremend.load_configuration {name}".strip()
        self.current = suite.current
        self.knowledge = suite.knowledge
        self.features = features
        self.lesson_keeper = LessonKeeper(suite.knowledge.lessons, logger.warning)
        self.seam: Seam | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.watchdog = LoopWatchdog()
        self.accept_failures = AcceptFailures()
        self.fast_paths = FastPaths()
        self.is_running = False
        self.reports_only = False
        """Whether the log contains that rules only report."""
        self.is_configured = False
        """Whether a configuration was read; if not, the built-in defaults are in force."""
        self.sources: LoadedSources | None = None
        """The code that runs; None before it is loaded, and once a change of it was logged."""

    def load(self, loader: Loader) -> None:
        """Declare options, install the seam, and listen on loopback unless configured otherwise.

        Ends the program if mitmproxy cannot use its CA.
        """
        if problem := authority_problem(ctx.master):
            sys.exit(problem)
        keep_loaded(ctx.master.addons, SHELLS)
        self.sources = LoadedSources(SHELLS)
        loader.add_option(
            "wiremend_config",
            str,
            "",
            "The configuration file. By default ./wiremend.toml, if its content was allowed, "
            "else ~/.config/wiremend/wiremend.toml.",
        )
        loader.add_option(
            "wiremend_allow",
            bool,
            False,
            "Allow the current content of ./wiremend.toml, which may send calls and secrets to "
            "the hosts in it. The decision is stored for later starts.",
        )
        loader.add_option(
            "wiremend_no_proxy",
            str,
            "",
            "Hosts that are reached without the upstream proxy in upstream mode, as in NO_PROXY.",
        )
        loader.add_option(
            "wiremend_keep",
            str,
            "auto",
            "Keep what client and provider sent, attempt by attempt, in the metadata of flows: "
            "auto (in mitmweb and mitmproxy, and with -w), always, never.",
            choices=KEEP,
        )
        loader.add_option(
            "wiremend_fast_paths",
            bool,
            True,
            "Replace hot spots of mitmproxy by faster code that does the same.",
        )
        loader.add_option(
            "wiremend_off",
            bool,
            False,
            "Let all traffic pass unchanged: no repairs, retries, keep-alives, routes or changed "
            "requests. Keys are still redacted in flows and logs.",
        )
        loader.add_option(
            "wiremend_faults",
            str,
            "",
            "A fault file: the faults that are injected into the answers of providers, on purpose.",
        )
        loader.add_option(
            "wiremend_faults_report",
            str,
            "",
            "The file that the report on injected faults is written to at the end, as JSON.",
        )
        loader.add_option(
            "wiremend_columns",
            int,
            76,
            "The width of wiremend's views of calls, in characters. mitmweb does not wrap lines; "
            "its pane holds 76, 97 or 117 of them in a window of 1280, 1600 or 1920 pixels.",
        )
        loader.add_option(
            "wiremend_flows",
            int,
            0,
            "How many flows mitmweb and mitmproxy keep; beyond it, the oldest ones that have ended "
            "are removed from the list and from memory. 0: all.",
        )
        loader.add_option(
            "wiremend_log",
            str,
            "",
            "Append a line of JSON about each call that has ended to this file: models, provider, "
            "outcome, attempts, times, tokens and rules, but no messages. Only you can read it; "
            "beyond 20 MiB it is renamed to FILE.1, and five old files are kept.",
        )
        loader.add_option(
            "wiremend_metrics",
            int,
            0,
            "Serve metrics for Prometheus at http://127.0.0.1:PORT/metrics. It needs the package "
            "prometheus_client (pip install 'wiremend[metrics]'). 0: no metrics.",
        )
        loader.add_option(
            "wiremend_traces",
            bool,
            False,
            "Export a span for each call to OpenTelemetry, at the address in the variable "
            "OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318). It needs the packages of "
            "pip install 'wiremend[traces]'.",
        )
        self._declare_replay_options(loader)
        self._refuse_unknown_options()
        seam = Seam(self.knowledge.memory)
        try:
            seam.install()
        except RuntimeError as reason:
            logger.error(str(reason))
            return
        self.seam = seam
        self.listener = LoopbackListener(ctx.master)
        if not self.is_running:
            self.listener.hold()
        # A connect failure must reach the call, not the CONNECT request before it.
        ctx.options.update(connection_strategy="lazy")

    def _declare_replay_options(self, loader: Loader) -> None:
        """Declare the options of `replay_recording`, so that misspelled ones are noticed here."""
        loader.add_option(
            "wiremend_replay",
            str,
            "",
            "Answer calls from this recording. Nothing is sent to the network.",
        )
        loader.add_option(
            "wiremend_replay_match",
            str,
            "messages",
            "What must be equal for a call to be answered from the recording: model and messages, "
            "everything (strict), or model and place in the conversation (order).",
            choices=("messages", "strict", "order"),
        )
        loader.add_option(
            "wiremend_replay_misses",
            str,
            "refuse",
            "What becomes of a request that is not in the recording: it is refused, or sent to its "
            "provider (forward).",
            choices=("refuse", "forward"),
        )
        loader.add_option(
            "wiremend_replay_map",
            Sequence[str],
            [],
            "OLD=NEW: a folder in recorded tool calls, and the folder that takes its place.",
        )
        loader.add_option(
            "wiremend_replay_speed",
            str,
            "",
            "Keep the recorded times of chunks, divided by this factor. By default they are sent "
            "as fast as possible.",
        )
        loader.add_option(
            "wiremend_replay_report",
            str,
            "",
            "Write what was and was not requested into this file, as JSON.",
        )

    def configure(self, updated: set[str]) -> None:
        """Read the configuration that the options select.

        An invalid file, or one that is not allowed, stops the start. A running proxy keeps the
        configuration in force.
        """
        if "wiremend_keep" in updated and ctx.options.wiremend_keep not in KEEP:
            given = f"wiremend_keep is one of {', '.join(KEEP)}, not {ctx.options.wiremend_keep!r}"
            refuse_option(f"wiremend: {given}", is_running=self.is_running)
        if "wiremend_flows" in updated and ctx.options.wiremend_flows < 0:
            refuse_option("wiremend: wiremend_flows cannot be negative", is_running=self.is_running)
        if self.is_running and "wiremend_fast_paths" in updated:
            self._use_fast_paths()
        if "wiremend_off" in updated:
            self._switch(is_off=ctx.options.wiremend_off)
        allow = ctx.options.wiremend_allow and "wiremend_allow" in updated
        if not allow and "wiremend_config" not in updated:
            return
        try:
            self.current.read(
                ctx.options.wiremend_config,
                Path.cwd(),
                allow=allow,
                is_running=self.is_running,
            )
        except ConfigError as problems:
            refuse_option(str(problems), is_running=self.is_running)
        else:
            self.is_configured = True
            self._apply_configuration()
            logger.info("wiremend: configuration from %s", self.current.source)
            self._log_warnings()
            if allow:
                # It is for the present content: setting another file must not allow that one.
                ctx.options.update(wiremend_allow=False)

    def running(self) -> None:
        """Start listening, and start watching the file."""
        self.is_running = True
        # mitmproxy has read its CA: a certificate that is issued later changes nothing for it.
        authority = Path(ctx.options.confdir).expanduser()
        self.current.limit_interception(unvouched_by(authority))
        self._log_unvouched()
        if self.seam is not None:
            self.listener.listen()
        if self is _configurations()[0]:
            logger.info("wiremend: version %s, mitmproxy %s", wiremend.__version__, VERSION)
            if warning := listening_warning(ctx.options.listen_host, ctx.options.mode):
                logger.warning("wiremend: warning: %s", warning)
        if self.seam is not None and self.seam.is_installed:
            raise_open_files_limit()
            keep_freed_buffers()
            self._use_fast_paths()
            self.accept_failures.install()
            self.watchdog.start()
        self.watcher = asyncio.get_running_loop().create_task(self._watch())

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Refuse a request that is addressed to the forward proxy: any web page can send one."""
        request = flow.request
        if flow.response or flow.error or not is_direct(request):
            return
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        proxy = human.format_address(flow.client_conn.sockname)
        answer(flow, direct_request_response(protocol, proxy))
        if request.method == "GET" and request.path == "/" and PROBE_HEADER in request.headers:
            self._hide(flow)
            return
        reason = "It was sent to the proxy itself and not through it."
        record_refusal(flow, protocol, reason)
        report_refusal(flow, reason)

    def _hide(self, flow: http.HTTPFlow) -> None:
        """Remove a flow from the list when its response has been sent."""
        if ctx.master.addons.get("view") is not None:
            remove = partial(ctx.master.commands.call, "view.flows.remove", [flow])
            asyncio.get_running_loop().call_later(HIDE_SECONDS, remove)

    def wiremend_call(self, options: CallOptions) -> None:
        """Request the features that the shells declare, with the configuration in force."""
        options.features |= self.features
        options.settings = self.current.settings
        options.is_off = self.current.is_off
        options.report_refusal = report_refusal
        if Feature.RETRY in self.features:
            options.health = self.knowledge.health
        if Feature.ROUTE in self.features:
            options.keys = self.knowledge.keys
        if Feature.ADAPT in self.features:
            options.lessons = self.knowledge.lessons
            options.sessions = self.knowledge.sessions
        options.fault_log = self.knowledge.fault_log

    def done(self) -> None:
        """Undo `load`. End the process if the addons are removed while it runs."""
        self.lesson_keeper.look()
        if self.watcher is not None:
            self.watcher.cancel()
        self.watchdog.stop()
        self.accept_failures.remove()
        self.fast_paths.remove()
        if self.seam is not None:
            self.seam.remove()
        if self.is_running and not ctx.master.should_exit.is_set():
            ctx.master.event_loop.call_soon(_exit_unless_replaced)

    def _use_fast_paths(self) -> None:
        """Install or remove the faster versions of mitmproxy's code, as the option selects."""
        self.fast_paths.remove()
        if self.seam is None or not self.seam.is_installed or not ctx.options.wiremend_fast_paths:
            return
        if left_out := self.fast_paths.install(PARTS):
            text = "wiremend: slower with mitmproxy %s, whose code has changed: %s are left out"
            logger.info(text, VERSION, ", ".join(left_out))

    def _switch(self, *, is_off: bool) -> None:
        if is_off and not self.current.is_off:
            logger.warning("wiremend: off (wiremend_off): traffic passes unrepaired")
        elif self.current.is_off and not is_off:
            logger.info("wiremend: on")
        self.current.is_off = is_off

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._reread_configuration()
            self.lesson_keeper.look()
            self._look_at_sources()
            if self.seam is not None and self.seam.is_installed:
                return_freed_memory()

    def _apply_configuration(self) -> None:
        """Apply the settings that are not read again for each call."""
        self.knowledge.memory.limit_bytes = self.current.settings.held_limit_bytes
        if Feature.ADAPT in self.features:
            self.lesson_keeper.use(self.current.lesson_file)
        self._log_mode(reports_only=self.current.settings.reports_only)

    def _log_mode(self, *, reports_only: bool) -> None:
        if reports_only and not self.reports_only:
            text = 'wiremend: [rules] mode = "report": findings are reported, nothing is repaired'
            logger.warning(text)
        elif self.reports_only and not reports_only:
            logger.info('wiremend: [rules] mode = "repair": new calls are repaired')
        self.reports_only = reports_only

    def _reread_configuration(self) -> None:
        try:
            changed = self.current.reread_if_changed()
        except ConfigError as problems:
            logger.warning("%s\nwiremend: the configuration in force is kept.", problems)
        except Exception as fault:  # the watch must go on
            text = "wiremend: internal fault (%s); the configuration in force is kept."
            logger.error(text, fault_of("reading the configuration", fault))
        else:
            if changed:
                self._apply_configuration()
                logger.info("wiremend: %s reloaded", self.current.source)
                self._log_warnings()
                self._log_unvouched()

    def _log_warnings(self) -> None:
        for warning in self.current.warnings:
            logger.warning("%s", warning)

    def _log_unvouched(self) -> None:
        if self.current.unvouched:
            logger.warning(
                "wiremend: warning: the CA of this proxy may not sign for %s, so clients that "
                "connect to it are tunnelled and their calls are not repaired; start scripts/run "
                "again to intercept it. Routes to it work.",
                ", ".join(self.current.unvouched),
            )

    def _refuse_unknown_options(self) -> None:
        """Log an error, which stops the start, for each option that the user misspelled.

        mitmproxy ignores unknown options, since another addon may declare them later.
        """
        names = ctx.options.keys()
        known = [name for name in names if name.startswith(OPTION_PREFIX)]
        for name in ctx.options.deferred:
            if name.startswith(OPTION_PREFIX) and name not in names:
                hint = did_you_mean(name, known) or f"; the options are {', '.join(sorted(known))}"
                logger.error("wiremend: unknown option %r%s", name, hint)

    def _look_at_sources(self) -> None:
        if self.sources is not None and self.sources.have_changed():
            self.sources = None
            if self is _configurations()[0]:
                logger.warning("wiremend: its code was changed; restart to use the new version.")


def refuse_option(problem: str, *, is_running: bool) -> None:
    """Log why the value of an option is refused, and raise OptionsError in a running proxy.

    mitmweb shows that a value is refused, but not why. At the start, the logged error stops it.
    """
    logger.error("%s", problem)
    if is_running:
        raise exceptions.OptionsError(problem)


def _configurations() -> list[LoadConfiguration]:
    """Return this addon as often as it is loaded: once for the suite, or for each shell."""
    prefix = "wiremend.load_configuration"
    addons = ctx.master.addons.lookup.items()
    return [addon for name, addon in addons if name.startswith(prefix)]


def _exit_unless_replaced() -> None:
    """Exit if the addons were removed, or replaced by some without their configuration.

    Calls that pass unrepaired, or go where their client sent them instead of where they are routed,
    are worse than a proxy that is gone.
    """
    loaded = _configurations()
    if loaded and all(addon.is_configured for addon in loaded):
        return
    logger.error("wiremend was removed; exiting, so that no traffic passes unrepaired.")
    sys.exit(1)


@dataclass(frozen=True)
class Suite:
    """State shared by shells that are loaded together."""

    current: CurrentConfig
    knowledge: Knowledge
    requests: ClientRequests = field(default_factory=ClientRequests)
    """What clients have sent, to send it again."""


class Shell:
    """An addon: its hooks, and the features that it requests for each call."""

    name = ""
    features: frozenset[Feature] = frozenset()
    refuses_after_fault: frozenset[str] = frozenset()
    """The hooks that decide where a request goes: after a fault, it is answered with an error."""
    drops_after_fault: frozenset[str] = frozenset()
    """The hooks after whose fault the flow is not kept: it may contain secrets."""

    def __init__(self, suite: Suite) -> None:
        self.current = suite.current


def suite_of(*shells: Callable[[Suite], Shell]) -> list[Any]:
    """Return the given shells, preceded by the addon that owns configuration and seam."""
    suite = Suite(CurrentConfig(), Knowledge(lessons=LessonBook(time.time)))
    instances = [shell(suite) for shell in shells]
    names = shells[0].__name__ if len(shells) == 1 else ""
    features = frozenset[Feature]().union(*(shell.features for shell in instances))
    addons: list[Any] = [LoadConfiguration(suite, features, names), *instances]
    for addon in addons:
        if step := getattr(addon, "wiremend_call", None):
            addon.wiremend_call = noting_faults(step)
        contain_hooks(addon, suite.knowledge.fault_log)
    return addons


addons = suite_of()
