"""The parts on lines, and those on addons without rules, do what mitmproxy's own code does."""

import io
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import flow, http, log
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.maplocal import MapLocal
from mitmproxy.addons.modifyheaders import ModifyHeaders
from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.addons.tlsconfig import TlsConfig
from mitmproxy.addons.update_alt_svc import UpdateAltSvc
from mitmproxy.certs import CertStore
from mitmproxy.proxy import mode_specs
from mitmproxy.test import taddons, tflow

from seam.fast.test_paths import both_ways

# log_lines


class OtherFormatter(log.MitmFormatter):
    """Shows other times."""

    default_time_format = "%Y"
    converter = time.gmtime


@pytest.mark.parametrize("kind", [log.MitmFormatter, OtherFormatter])
@pytest.mark.parametrize("datefmt", [None, "%M"])
@given(st.lists(st.integers(0, 2**31 * 1000), max_size=4), st.booleans())
def test_times_of_log_lines_are_the_same(
    kind: type[log.MitmFormatter],
    datefmt: str | None,
    milliseconds: list[int],
    is_repeated: bool,
) -> None:
    formatter = kind(colorize=False)
    record = logging.LogRecord("a", logging.INFO, "f.py", 1, "text", (), None)

    def format_all() -> list[str]:
        shown = []
        for each in milliseconds * (2 if is_repeated else 1):
            record.created, record.msecs = each / 1000, each % 1000
            shown.append(formatter.formatTime(record, datefmt))
        return shown

    own, fast = both_ways(format_all, "log_lines")
    assert own == fast


class Lines(io.StringIO):
    """Collects lines, or refuses them."""

    def __init__(self, *, is_closed: bool = False) -> None:
        super().__init__()
        self._is_closed = is_closed

    def write(self, text: str) -> int:
        if self._is_closed:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("is_closed", [False, True])
def test_log_lines_are_written_as_before(is_closed: bool) -> None:
    def write() -> str:
        out = Lines(is_closed=is_closed)
        handler = TermLogHandler(out)
        record = logging.LogRecord("a", logging.WARNING, "f.py", 1, "one %s\ntwo", ("é",), None)
        record.created, record.msecs = 1.5, 500.0
        record.client = ("::1", 5, 0, 0)
        try:
            handler.emit(record)
        except SystemExit as ended:
            return f"exit {ended.code}"
        return out.getvalue()

    own, fast = both_ways(write, "log_lines")
    assert own == fast
    assert own == "exit 1" if is_closed else own.endswith("one é\ntwo\n")


def test_nothing_is_logged_without_a_console() -> None:
    handler = TermLogHandler()
    handler.file = None  # type: ignore[assignment]

    def write() -> None:
        handler.emit(logging.LogRecord("a", logging.INFO, "f.py", 1, "text", (), None))

    assert both_ways(write, "log_lines") == (None, None)


# flow_lines


def usual() -> http.HTTPFlow:
    shown = tflow.tflow(resp=True)
    shown.request = http.Request.make("POST", "https://api.anthropic.com/v1/messages")
    return shown


def addressed(url: str) -> Callable[[http.HTTPFlow], None]:
    def change(shown: http.HTTPFlow) -> None:
        shown.request.url = url

    return change


def answered(**fields: Any) -> Callable[[http.HTTPFlow], None]:
    def change(shown: http.HTTPFlow) -> None:
        for name, value in fields.items():
            setattr(shown.response, name, value)

    return change


def failed(shown: http.HTTPFlow) -> None:
    shown.error = flow.Error("lost\x1b")


FLOWS: dict[str, Callable[[http.HTTPFlow], object]] = {
    "as usual": lambda shown: None,
    "a long address": addressed("https://api.anthropic.com/v1/messages?" + "x" * 300),
    "just short enough": addressed("https://api.anthropic.com/" + "x" * 24),
    "just too long for a small terminal": addressed("https://api.anthropic.com/" + "x" * 25),
    "control characters": lambda shown: setattr(shown.request, "path", "/\x1b[2J\x7f\té"),
    "another method": lambda shown: setattr(shown.request, "method", "delete"),
    "a method with a control character": lambda shown: setattr(shown.request, "method", "G\x1b"),
    "a redirection": answered(status_code=302, reason="Found"),
    "a teapot": answered(status_code=418, reason="I'm a\x1bteapot"),
    "an odd status": answered(status_code=99, reason=""),
    "an odd high status": answered(status_code=600),
    "no content": answered(raw_content=None),
    "much content": answered(raw_content=b"x" * 123_456),
    "HTTP/2 at the server": answered(http_version="HTTP/2.0"),
    "HTTP/1.0 at the server": answered(http_version="HTTP/1.0"),
    "HTTP/2 at both": lambda shown: (
        setattr(shown.request, "http_version", "HTTP/2.0"),
        setattr(shown.response, "http_version", "HTTP/2.0"),
    ),
    "HTTP/3 at the client": lambda shown: setattr(shown.request, "http_version", "HTTP/3"),
    "IPv6": lambda shown: setattr(shown.client_conn, "peername", ("::1", 5, 0, 0)),
    "a replayed request": lambda shown: setattr(shown, "is_replay", "request"),
    "a replayed response": lambda shown: setattr(shown, "is_replay", "response"),
    "a pushed stream": lambda shown: shown.metadata.update({"h2-pushed-stream": True}),
    "an error": failed,
    "no response": lambda shown: setattr(shown, "response", None),
}


class OtherDumper(Dumper):
    """Shows lines in another way."""

    def echo(self, text: str, ident: Any = None, **style: Any) -> None:
        super().echo(f"> {text}", ident, **style)


@pytest.mark.parametrize("change", FLOWS.values(), ids=FLOWS)
@pytest.mark.parametrize("kind", [Dumper, OtherDumper])
@pytest.mark.parametrize("has_colors", [False, True])
def test_the_lines_on_a_flow_are_the_same(
    change: Callable[[http.HTTPFlow], object],
    kind: type[Dumper],
    has_colors: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = usual()
    change(shown)
    outputs: Sequence[Any] = [{}, {"flow_detail": 0}, {"flow_detail": 2}, {"showhost": True}]

    def echo() -> list[str]:
        lines = []
        for columns in ("40", "76", "200"):
            monkeypatch.setenv("COLUMNS", columns)
            for options in outputs:
                out = io.StringIO()
                dumper = kind(out)
                dumper.out_has_vt_codes = has_colors
                with taddons.context(dumper) as context:
                    context.configure(dumper, **{"flow_detail": 1, "showhost": False} | options)
                    dumper.response(shown)
                lines.append(out.getvalue())
        return lines

    own, fast = both_ways(echo, "flow_lines")
    assert own == fast
    assert any(own)


# idle_addons


@pytest.mark.parametrize("rules", [[], ["|example|/nowhere"], ["|x-a|1", "|x-b|"]])
def test_addons_change_flows_only_as_configured(rules: list[str]) -> None:
    def change() -> object:
        changed = usual()
        changed.request.headers["x-b"] = "2"
        changed.live = True
        modify = ModifyHeaders()
        with taddons.context(modify) as context:
            context.configure(modify, modify_headers=rules)
            modify.requestheaders(changed)
            modify.responseheaders(changed)
        assert changed.response is not None
        return changed.request.headers.fields, changed.response.headers.fields

    own, fast = both_ways(change, "idle_addons")
    assert own == fast


@pytest.mark.parametrize("is_mapped", [False, True])
def test_local_files_are_served_only_if_configured(is_mapped: bool, tmp_path: Any) -> None:
    (tmp_path / "messages").write_bytes(b"local")
    rules = [f"|api.anthropic.com/v1|{tmp_path}"] if is_mapped else []

    def serve() -> bytes | None:
        asked = usual()
        asked.response, asked.live = None, True
        serving = MapLocal()
        with taddons.context(serving) as context:
            context.configure(serving, map_local=rules)
            serving.request(asked)
        return asked.response.raw_content if asked.response is not None else None

    expected = b"local" if is_mapped else None
    assert both_ways(serve, "idle_addons") == (expected, expected)


@pytest.mark.parametrize("header", [{}, {"Alt-Svc": 'h3=":443"'}])
@pytest.mark.parametrize("mode", ["regular", "reverse:https://example.com"])
@pytest.mark.parametrize("is_kept", [False, True])
def test_alternative_services_are_changed_as_before(
    header: dict[str, str], mode: str, is_kept: bool
) -> None:
    def change() -> object:
        changed = usual()
        changed.response = http.Response.make(200, b"", header)
        changed.client_conn.proxy_mode = mode_specs.ProxyMode.parse(mode)
        updating = UpdateAltSvc()
        with taddons.context(updating) as context:
            context.configure(updating, keep_alt_svc_header=is_kept)
            updating.responseheaders(changed)
        return changed.response.headers.fields

    own, fast = both_ways(change, "idle_addons")
    assert own == fast


def test_each_authority_has_its_list_of_revoked_certificates(tmp_path: Any) -> None:
    def authority(name: str) -> CertStore:
        return CertStore.from_store(tmp_path / name, "mitmproxy", 2048)

    stores = [authority("a"), authority("b")]

    def name() -> list[str]:
        configured = TlsConfig()
        names = []
        for store in (*stores, *stores[::-1], stores[0]):
            configured.certstore = store
            names += [configured.crl_path(), configured.crl_path()]
        return names

    own, fast = both_ways(name, "crl_names")
    assert own == fast
    assert len(set(own)) == 2
