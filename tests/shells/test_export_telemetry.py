"""The options of exports: what is missing, or impossible, is said."""

import sys

import pytest
from export_telemetry import ExportTelemetry
from load_configuration import Suite
from mitmproxy.exceptions import OptionsError
from mitmproxy.test import taddons
from wiremend.config.current import CurrentConfig
from wiremend.engine.settings import Knowledge
from wiremend.views.metrics import MetricsServer

PACKAGES = {
    "wiremend_metrics": (9464, "prometheus_client", "metrics"),
    "wiremend_traces": (True, "opentelemetry.sdk.trace", "traces"),
}


@pytest.mark.parametrize("option", PACKAGES)
@pytest.mark.parametrize("is_running", [False, True])
def test_a_missing_package_is_named_with_its_extra(
    option: str,
    is_running: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    value, package, extra = PACKAGES[option]
    monkeypatch.setitem(sys.modules, package, None)
    shell = ExportTelemetry(Suite(CurrentConfig(), Knowledge()))
    with taddons.context() as context:
        context.options.add_option(option, type(value), type(value)(), "")
        if is_running:
            shell.running()
        context.options.update(**{option: value})
        if is_running:
            with pytest.raises(OptionsError):
                shell.configure({option})
        else:
            shell.configure({option})
    [message] = [text for text in caplog.messages if option in text]
    assert f"pip install 'wiremend[{extra}]'" in message


def test_a_port_that_cannot_be_used_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    shell = ExportTelemetry(Suite(CurrentConfig(), Knowledge()))
    taken = MetricsServer(0, {})
    with taddons.context() as context:
        context.options.add_option("wiremend_metrics", int, 0, "")
        for value in (taken.port, 99_999):
            context.options.update(wiremend_metrics=value)
            shell.configure({"wiremend_metrics"})
            text = f"wiremend_metrics: cannot listen at 127.0.0.1:{value}: "
            assert any(text in message for message in caplog.messages)
    taken.close()
