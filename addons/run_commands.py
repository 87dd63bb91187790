"""Commands for the command bar of mitmweb, the prompt of the console, and mitmweb's REST API."""

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from load_configuration import Shell, Suite, suite_of
from mitmproxy import command, ctx, flow, http, types
from mitmproxy.exceptions import CommandError
from wiremend.adapt.lessons import as_toml
from wiremend.catalogue import rule_names
from wiremend.recording.repro import NotWritable, write_repro
from wiremend.seam.shown.choices import Choices
from wiremend.views.content.view_list import VIEWS, render
from wiremend.views.proxy_state import ProxyState, state_text
from wiremend.views.viewed_flow import viewed_call

SHOWN_CALLS = 20
"""How many calls one command describes."""
NO_LESSONS = "# nothing was learnt"
FORGETTABLE = Choices(("all", "breakers", "budgets", "keys", "lessons"))

logger = logging.getLogger("wiremend")


class RunCommands(Shell):
    """Commands that return text. mitmweb shows a result on one line, so it is logged there, too.

    Their names have letters and dots only: mitmweb knows no others.
    """

    name = "wiremend.run_commands"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.knowledge = suite.knowledge
        self.requests = suite.requests

    @command.command("wiremend.explain")  # type: ignore[untyped-decorator]
    def explain(self, flows: Sequence[flow.Flow]) -> str:
        """Return how calls ended, what was wrong, what was done, and the answers."""
        return self._view("call", flows)

    @command.command("wiremend.findings")  # type: ignore[untyped-decorator]
    def findings(self, flows: Sequence[flow.Flow]) -> str:
        """Return all findings in calls, by rule, with their places."""
        return self._view("findings", flows)

    @command.command("wiremend.attempts")  # type: ignore[untyped-decorator]
    def attempts(self, flows: Sequence[flow.Flow]) -> str:
        """Return the attempts of calls: when each began and ended, how, and the waits between."""
        return self._view("timeline", flows)

    @command.command("wiremend.repro")  # type: ignore[untyped-decorator]
    def repro(self, call: flow.Flow, folder: types.Path) -> str:
        """Write a call into a new folder, without its secrets: a recording for scripts/check and
        scripts/replay, and a test that runs it again."""
        if not isinstance(call, http.HTTPFlow):
            raise CommandError("This is no model call.")
        place = Path.cwd() / os.path.expanduser(folder)
        try:
            files = write_repro(call, place, self.current.secrets)
        except NotWritable as reason:
            raise CommandError(str(reason)) from None
        return f"written: {', '.join(map(str, files))}"

    @command.command("wiremend.rules.off")  # type: ignore[untyped-decorator]
    def rules_off(self, *codes: str) -> str:
        """Switch rules off until the proxy ends, by codes or their beginnings, such as S105 or T.
        Without any, list the rules that are off."""
        return self._switch(codes, is_off=True)

    @command.command("wiremend.rules.on")  # type: ignore[untyped-decorator]
    def rules_on(self, *codes: str) -> str:
        """Switch rules on until the proxy ends, also those that the configuration disables.
        Without any, list the rules that are off."""
        return self._switch(codes, is_off=False)

    @command.command("wiremend.state")  # type: ignore[untyped-decorator]
    def state(self) -> str:
        """Return the circuit breakers, retry budgets, lessons, routes and switched rules."""
        settings, health, now = self.current.settings, self.knowledge.health, time.monotonic()
        return self._shown(
            state_text(
                ProxyState(
                    source=self.current.source,
                    is_off=self.current.is_off,
                    breakers=health.breakers(now),
                    budgets=health.budgets(now, settings.health),
                    budget_capacity=settings.health.retry_floor,
                    lessons=self.knowledge.lessons.learnt,
                    routes=settings.routes,
                    switched=self.current.switched_rules,
                    disabled=map(_named, settings.disabled),
                    remembered_requests=len(self.requests),
                )
            )
        )

    @command.command("wiremend.lessons")  # type: ignore[untyped-decorator]
    def lessons(self) -> str:
        """Return what was learnt from rejections, as configuration."""
        return self._shown(as_toml(self.knowledge.lessons.learnt) or NO_LESSONS)

    @command.command("wiremend.forget")  # type: ignore[untyped-decorator]
    @command.argument("what", type=types.Choice("wiremend.forget.options"))  # type: ignore[untyped-decorator]
    def forget(self, what: str = "") -> str:
        """Forget lessons (also in the file of [learning]), breakers, budgets, keys (those in
        memory), or all. Running calls are not affected. Without a choice, list the choices."""
        if not what:
            raise CommandError(f"Choose one of {', '.join(FORGETTABLE)}.")
        forgotten = [
            f"{forget()} {kind}"
            for kind, forget in self._forgettable().items()
            if what in (kind, "all")
        ]
        return f"forgotten: {', '.join(forgotten)}"

    @command.command("wiremend.forget.options")  # type: ignore[untyped-decorator]
    def forget_options(self) -> Sequence[str]:
        """Return what wiremend.forget can forget."""
        return FORGETTABLE

    def _forgettable(self) -> dict[str, Callable[[], int]]:
        return {
            "breakers": self.knowledge.health.forget_breakers,
            "budgets": self.knowledge.health.forget_budgets,
            "keys": self.requests.clear,
            "lessons": self.knowledge.lessons.forget,
        }

    def _switch(self, codes: Sequence[str], *, is_off: bool) -> str:
        word = "off" if is_off else "on"
        if codes:
            try:
                switched = self.current.switch_rules(codes, is_off=is_off)
            except ValueError as problem:
                raise CommandError(str(problem)) from None
            text = f"{word} until the proxy ends: {', '.join(map(_named, switched))}"
            logger.info("wiremend: rules %s", text)
            return text
        off = sorted(map(_named, self.current.settings.disabled))
        return f"off: {', '.join(off) or 'none'}"

    def _view(self, name: str, flows: Sequence[flow.Flow]) -> str:
        view = next(view for view in VIEWS if view.name == name)
        calls = [one for one in flows if isinstance(one, http.HTTPFlow)]
        if not calls:
            raise CommandError("There is no call; name one, such as @focus or @FLOWID.")
        texts = []
        for one in calls[:SHOWN_CALLS]:
            call = viewed_call(one, rule_names())
            is_request = one.response is None
            columns: int = ctx.options.wiremend_columns
            texts.append(render(view, call, is_request=is_request, columns=columns))
        if len(calls) > SHOWN_CALLS:
            texts.append(f"… {len(calls) - SHOWN_CALLS} more calls")
        return self._shown("\n \n".join(texts))

    def _shown(self, text: str) -> str:
        if ctx.master.addons.get("webaddon") is not None:
            logger.info("%s", text)
        return text


def _named(code: str) -> str:
    return f"{code} {rule_names().get(code, '')}".strip()


addons = suite_of(RunCommands)
