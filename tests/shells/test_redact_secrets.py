"""The shell that redacts flows, also those that mitmproxy saves when it ends."""

import pytest
from load_configuration import Suite
from mitmproxy.addons.export import Export
from mitmproxy.test import taddons, tflow
from redact_secrets import RedactSecrets
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.rules.containment import FaultLog
from wiremend.seam.addon_hooks import contain_hooks

KEY = "sk-secret-0123456789"


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
