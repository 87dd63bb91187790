"""The shell that redacts flows, also those that mitmproxy saves when it ends."""

from collections.abc import Callable

import pytest
from load_configuration import Suite
from mitmproxy import http
from mitmproxy.addons.export import Export
from mitmproxy.test import taddons, tflow
from redact_secrets import RedactSecrets
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.rules.containment import FaultLog
from wiremend.seam.addon_hooks import contain_hooks
from wiremend.seam.call_options import CallOptions

KEY = "sk-secret-0123456789"
LATER = "sk-another-9876543210"


def test_a_flow_that_is_live_when_the_proxy_ends_is_redacted() -> None:
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow()
    flow.request.headers["x-api-key"] = KEY
    with taddons.context() as addons:
        shell.request(flow)
        addons.master.should_exit.set()
        shell.done()
    assert KEY not in repr(flow.get_state())


def test_a_flow_that_is_live_when_scripts_are_reloaded_keeps_its_key() -> None:
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow()
    flow.request.headers["x-api-key"] = KEY
    with taddons.context():
        shell.request(flow)
        shell.done()
    assert flow.request.headers["x-api-key"] == KEY


@pytest.mark.parametrize("form", Export().formats())
def test_no_export_of_a_finished_flow_contains_its_key(form: str) -> None:
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow(resp=True)
    flow.request.headers["authorization"] = f"Bearer {KEY}"
    flow.request.path = f"/v1beta/models?key={KEY}"
    flow.response.headers["set-cookie"] = f"sid={KEY}"
    with taddons.context(exporter := Export()):
        assert KEY in exporter.export_str(form, flow)
        shell.request(flow)
        shell.response(flow)
        assert KEY not in exporter.export_str(form, flow)


def test_no_secret_of_a_finished_flow_is_kept() -> None:
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow(resp=True)
    shell.request(flow)
    shell.response(flow)
    assert not shell.live
    assert not shell.secrets


def change_header(request: http.Request) -> None:
    request.headers["x-trace"] = f"of {LATER}"


def change_path(request: http.Request) -> None:
    request.path = f"/v1/messages?key={KEY}"


def change_body(request: http.Request) -> None:
    request.content = f"it uses {KEY}".encode()


def add_key(request: http.Request) -> None:
    request.headers["api-key"] = LATER


@pytest.mark.parametrize("change", [change_header, change_path, change_body, add_key])
def test_what_changes_after_a_request_was_redacted_is_redacted_at_its_end(
    change: Callable[[http.Request], None],
) -> None:
    """A request that did not change since is not redacted again."""
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow(resp=True)
    flow.request.headers["x-api-key"] = KEY
    flow.request.headers["authorization"] = f"Bearer {LATER}"
    options = CallOptions(flow)
    shell.request(flow)
    shell.wiremend_call(options)
    assert options.conceal is not None
    options.conceal(flow)
    assert KEY not in repr(flow.get_state())
    change(flow.request)
    shell.response(flow)
    assert KEY not in repr(flow.get_state())
    assert LATER not in repr(flow.get_state())


def test_the_key_of_a_second_target_is_redacted_everywhere() -> None:
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow(resp=True)
    flow.request.headers["x-api-key"] = KEY
    options = CallOptions(flow)
    shell.wiremend_call(options)
    assert options.conceal is not None
    options.conceal(flow)
    flow.request = tflow.treq(headers=http.Headers(authorization=f"Bearer {LATER}"))
    options.conceal(flow)
    flow.response.headers["x-echo"] = f"{KEY} {LATER}"
    flow.response.content = f"{KEY} {LATER}".encode()
    shell.response(flow)
    assert KEY not in repr(flow.get_state())
    assert LATER not in repr(flow.get_state())


@pytest.mark.parametrize("hook", ["response", "error"])
def test_a_flow_is_not_kept_if_the_hook_fails(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = RedactSecrets(Suite(CurrentConfig(), Knowledge()))
    flow = tflow.tflow(resp=True)
    flow.request.headers["x-api-key"] = KEY
    monkeypatch.setattr(shell, "live", None)  # so the hook raises
    monkeypatch.setattr(shell, "_conceal", lambda _: shell.live.clear())
    contain_hooks(shell, FaultLog())
    getattr(shell, hook)(flow)
    assert KEY not in repr(flow.get_state())
