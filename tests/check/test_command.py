"""`scripts/check` on small recordings of every format."""

import io
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from recorded_files import (
    BROKEN,
    CUT,
    HOST,
    REQUEST,
    SOUND,
    attempt,
    entry,
    event,
    flow_file,
    har,
    http_flow,
    in_every_format,
    line,
    recorded_flow,
    stream,
)
from wiremend.call_record.outcomes import AttemptOutcome
from wiremend.check.command import HELP, main
from wiremend.check.progress import ProgressLine

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "scripts/check"
ANTHROPIC = ("--protocol", "anthropic")
NAMES = tuple(in_every_format(SOUND))


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def write(name: str, data: bytes) -> str:
    Path(name).write_bytes(data)
    return name


def problems(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    """Return the problems that are reported for these arguments."""
    status = main(PROGRAM, ["--output-format", "json-lines", *arguments])
    found = [orjson.loads(text) for text in capsys.readouterr().out.splitlines()]
    assert status == bool(found)
    return found


def codes(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[tuple[str, str]]:
    return [(one["location"], one["code"]) for one in problems(capsys, *arguments)]


# Faults


@pytest.mark.parametrize("name", NAMES)
def test_a_sound_recording_is_clean(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    write(name, in_every_format(SOUND)[name])
    assert main(PROGRAM, [name, *ANTHROPIC]) == 0
    assert capsys.readouterr() == ("Checked 1 call: no problems.\n", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_mutated_recording_fails_with_the_finding(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(name, in_every_format(BROKEN)[name])
    assert main(PROGRAM, [name, *ANTHROPIC, "--output-format", "concise"]) == 1
    place = f"{name}: flow 1 event 2: S105 block-index: block 1"
    found = "Found 1 problem (3 findings) in 1 of 1 call."
    assert capsys.readouterr().out.splitlines() == [
        f"{place} (3 times in block 1, last at event 4)",
        found,
    ]


def test_the_full_format_has_the_call_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", line(BROKEN))
    main(PROGRAM, ["x.jsonl"])
    _, call, hint, *_ = capsys.readouterr().out.splitlines()
    assert call == "    in: api.anthropic.com, claude-sonnet-5, anthropic-messages"
    assert hint.startswith("    hint: `InvalidHTTPResponse`; `Content block not found`")


def test_a_fault_in_every_event_is_one_problem(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", line(stream(index=1, deltas=500)))
    [problem] = problems(capsys, "x.jsonl")
    assert (problem["count"], problem["block"], problem["event"]) == (502, "block 1", 2)


def test_the_flow_of_each_problem_is_its_number_in_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("x.jsonl", line(SOUND) + line(BROKEN) + line(SOUND) + line(BROKEN))
    found = codes(capsys, "x.jsonl")
    assert found == [("flow 2 event 2", "S105"), ("flow 4 event 2", "S105")]


OVERLOADED = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
JSON = "application/json"
ERROR_EVENT = event({"type": "error", "error": {"type": "overloaded_error", "message": "no"}})
TRANSPORT = {
    "cut by upstream": (http_flow(CUT, error="peer closed connection"), ["R002"]),
    "ends too early": (http_flow(CUT), ["R003"]),
    "cancelled by the client": (http_flow(CUT, error="Client disconnected."), []),
    "cancelled after a fault": (
        http_flow(stream(index=1, is_ended=False), error="Client disconnected."),
        ["S105"],
    ),
    "a retryable status": (http_flow(OVERLOADED, status=529, content_type=JSON), ["R005"]),
    "a refusal": (http_flow(b'{"error":{}}', status=400, content_type=JSON), []),
    "an error in a 200": (http_flow(OVERLOADED, content_type=JSON), ["E005"]),
    "an error before content": (http_flow(ERROR_EVENT), ["E001"]),
    "an error after content": (http_flow(CUT + ERROR_EVENT), ["E002"]),
    "a web page": (http_flow(b"<html>x</html>", status=502, content_type="text/html"), ["E004"]),
    "a wrong label": (http_flow(SOUND, content_type=JSON), ["E007"]),
    "no body in the recording": (http_flow(None), []),
}


@pytest.mark.parametrize(("flow", "expected"), TRANSPORT.values(), ids=TRANSPORT.keys())
def test_faults_of_the_transport(
    flow: Any, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.mitm", flow_file(flow))
    assert [problem["code"] for problem in problems(capsys, "x.mitm")] == expected


def test_a_connection_that_was_not_established(capsys: pytest.CaptureFixture[str]) -> None:
    flow = http_flow(error="connect failed")
    flow.response = None
    flow.server_conn.timestamp_tcp_setup = None
    write("x.mitm", flow_file(flow))
    assert codes(capsys, "x.mitm") == [("flow 1 response", "R001")]


def test_coded_bodies_are_decoded(capsys: pytest.CaptureFixture[str]) -> None:
    flow = http_flow(SOUND)
    assert flow.response is not None
    flow.response.headers["content-encoding"] = "gzip"
    flow.response.content = BROKEN
    assert flow.response.raw_content != BROKEN
    write("x.mitm", flow_file(flow))
    [problem] = problems(capsys, "x.mitm")
    assert (problem["code"], problem["block"]) == ("S105", "block 1")


def test_a_body_that_cannot_be_decoded_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    flow = http_flow(b"no gzip")
    assert flow.response is not None
    flow.response.headers["content-encoding"] = "gzip"
    write("x.mitm", flow_file(flow))
    assert codes(capsys, "x.mitm") == [("flow 1 response", "R002")]


def test_each_attempt_of_a_recorded_call_is_checked(capsys: pytest.CaptureFixture[str]) -> None:
    failed = attempt(
        OVERLOADED, status=529, content_type=JSON, outcome=AttemptOutcome.FAILED, detail="x"
    )
    write("x.mitm", flow_file(recorded_flow(failed, attempt(BROKEN))))
    found = codes(capsys, "x.mitm")
    assert found == [("flow 1 attempt 1 response", "R005"), ("flow 1 attempt 2 event 2", "S105")]


def test_a_connection_that_the_proxy_saw_fail_is_reported_as_it_was(
    capsys: pytest.CaptureFixture[str],
) -> None:
    finding = {
        "code": "R004",
        "place": {"kind": "attempt", "number": 1},
        "where": "attempt 1",
        "found": "no data for 120 s",
        "done": "",
    }
    silent = attempt(None, outcome=AttemptOutcome.FAILED, detail="no data for 120 s")
    flow = recorded_flow(silent, attempt(BROKEN), findings=[finding])
    write("x.mitm", flow_file(flow))
    found = codes(capsys, "x.mitm")
    assert found == [("flow 1 attempt 1 response", "R004"), ("flow 1 attempt 2 event 2", "S105")]


def test_the_repaired_side_of_a_recording_is_not_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flow = recorded_flow(attempt(SOUND))
    assert flow.response is not None
    flow.response.content = BROKEN  # what the client received is not upstream's fault
    write("x.mitm", flow_file(flow))
    assert problems(capsys, "x.mitm") == []


def test_findings_of_the_proxy_are_reported_without_upstreams_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = {"kind": "event", "number": 2}
    finding = {"code": "S105", "place": place, "where": "event 2", "found": "block 1", "done": ""}
    write("x.mitm", flow_file(recorded_flow(findings=[finding])))
    assert codes(capsys, "x.mitm") == [("flow 1 event 2", "S105")]
    main(PROGRAM, ["x.mitm"])
    assert "note: 1 call: upstream's bytes were not kept" in capsys.readouterr().err


def test_requests_are_checked_for_their_own_target(capsys: pytest.CaptureFixture[str]) -> None:
    tool = b'{"model":"m","max_tokens":1,"messages":[],"tools":[{"name":"t","input_schema":{}}]}'
    answer = http_flow(SOUND, request=tool.replace(b'"m"', b'"m","stream":true'))
    write("x.mitm", flow_file(answer))
    found = problems(capsys, "x.mitm", "--select", "T")
    assert {one["side"] for one in found} == {"request"}
    assert found[0]["location"].startswith("flow 1 request tools[0]")


# Files


def test_a_folder_is_checked_file_by_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("sub").mkdir()
    write("sub/b.jsonl", line(BROKEN))
    write("sub/a.mitm", flow_file(http_flow(BROKEN)))
    write("sub/other.txt", b"x")
    assert [one["file"] for one in problems(capsys, "sub")] == ["sub/a.mitm", "sub/b.jsonl"]


def test_standard_input_is_a_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(BROKEN)))
    [problem] = problems(capsys, "-", *ANTHROPIC)
    assert (problem["file"], problem["code"]) == ("<stdin>", "S105")


def test_a_cut_file_is_reported_after_its_flows(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.mitm", flow_file(http_flow(BROKEN), http_flow())[:-5])
    write("y.jsonl", line(BROKEN))
    assert main(PROGRAM, ["x.mitm", "y.jsonl", "--output-format", "concise"]) == 2
    out, err = capsys.readouterr()
    assert [text.partition(":")[0] for text in out.splitlines()[:2]] == ["x.mitm", "y.jsonl"]
    assert err == "scripts/check: x.mitm: the file ends after flow 1, inside flow 2\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["missing.mitm"],
        ["x.jsonl", "--select", "S9999"],
        ["x.jsonl", "--ignore", "nothing"],
        ["x.jsonl", "--output-format", "yaml"],
        ["x.jsonl", "--protocol", "soap"],
        ["x.jsonl", "--output-file", "no/such/folder"],
        ["x.jsonl", "--config", "missing.toml"],
        ["x.jsonl", "--fix", "x.jsonl"],
        ["x.jsonl", "x.jsonl", "--fix", "y.jsonl"],
        ["--explain", "S9999"],
    ],
    ids=" ".join,
)
def test_wrong_arguments_have_one_line_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.jsonl", line(BROKEN))
    assert main(PROGRAM, arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("scripts/check: ")
    assert err.count("\n") == 1
    assert Path("x.jsonl").read_bytes() == line(BROKEN)


def test_an_unknown_option_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(PROGRAM, ["--sel", "S1"])
    assert caught.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


def test_nothing_to_check_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert main(PROGRAM, ["empty"]) == 0
    assert "warning: nothing to check" in capsys.readouterr().err


def test_other_traffic_is_no_call(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.mitm", flow_file(http_flow(BROKEN, path="/v1/models"), http_flow()))
    assert main(PROGRAM, ["x.mitm"]) == 0
    assert capsys.readouterr().out == "Checked 1 call (2 flows): no problems.\n"


def test_a_bug_in_a_flow_is_no_success_and_hides_no_other_flow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wiremend.check import runs

    original = runs.check_exchange

    def check_or_raise(exchange: Any, settings: Any) -> Any:
        if exchange.response.body == SOUND:
            raise KeyError("secret")
        return original(exchange, settings)

    monkeypatch.setattr(runs, "check_exchange", check_or_raise)
    write("x.jsonl", line(SOUND) + line(BROKEN))
    assert main(PROGRAM, ["x.jsonl", "--output-format", "concise"]) == 2
    out, err = capsys.readouterr()
    assert "x.jsonl: flow 2 event 2: S105" in out
    assert "x.jsonl: flow 1 was not checked, because of a bug in wiremend: KeyError" in err
    assert "secret" not in err


# Options

TWO = line(BROKEN) + line(CUT)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["S105", "R003"]),
        (["--select", "S"], ["S105"]),
        (["--select", "S,R"], ["S105", "R003"]),
        (["--select", "S105", "--select", "R003"], ["S105", "R003"]),
        (["--ignore", "S1"], ["R003"]),
        (["--ignore", "S1, R"], []),
        (["--select", "S", "--ignore", "S105"], []),
    ],
)
def test_rules_are_selected_by_code_and_prefix(
    options: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.jsonl", TWO)
    assert [one["code"] for one in problems(capsys, "x.jsonl", *options)] == expected


@pytest.mark.parametrize(
    ("check", "options", "expected"),
    [
        ('ignore = ["S105"]', [], ["R003"]),
        ('select = ["S"]', [], ["S105"]),
        ('select = ["S"]', ["--select", "R"], ["R003"]),
        ('ignore = ["S105"]', ["--ignore", "R"], []),
        ('ignore_in_files = {"*.jsonl" = ["S"]}', [], ["R003"]),
        ('ignore_in_files = {"*.har" = ["S"]}', [], ["S105", "R003"]),
        ('ignore_from_hosts = {"*.anthropic.com" = ["R"]}', [], ["S105"]),
        ('ignore_from_hosts = {"*.openai.com" = ["R"]}', [], ["S105", "R003"]),
        ('select_in_files = {"x.*" = ["S"]}\nselect = ["R"]', [], ["S105"]),
        ('select_from_hosts = {"*" = ["R"]}', [], ["R003"]),
        ('select_from_hosts = {"*" = ["R"]}', ["--select", "S"], ["S105"]),
    ],
)
def test_the_configuration_selects_by_file_and_host(
    check: str, options: list[str], expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.jsonl", TWO)
    write("wiremend.toml", f"[check]\n{check}\n".encode())
    assert [one["code"] for one in problems(capsys, "x.jsonl", *options)] == expected


def test_the_configuration_needs_neither_consent_nor_keys(
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider = '[providers.p]\nbase_url = "https://p.example"\napi_key = "${NOT_SET}"\n'
    write("wiremend.toml", (provider + '[rules]\ndisable = ["S105"]\n').encode())
    write("x.jsonl", TWO)
    assert [one["code"] for one in problems(capsys, "x.jsonl")] == ["R003"]


def test_exit_zero_is_for_findings_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", TWO)
    assert main(PROGRAM, ["x.jsonl", "--exit-zero"]) == 0
    assert "Found 2 problems" in capsys.readouterr().out
    assert main(PROGRAM, ["x.jsonl", "missing", "--exit-zero"]) == 2


def test_statistics_replace_the_places(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", TWO + line(BROKEN))
    assert main(PROGRAM, ["x.jsonl", "--statistics"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "2  S105  block-index",
        "1  R003  early-end",
        "Found 3 problems (7 findings) in 3 of 3 calls.",
    ]


@pytest.mark.parametrize("rule", ["s105", "Block-Index"])
def test_a_rule_is_explained(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PROGRAM, ["--explain", rule]) == 0
    out = capsys.readouterr().out
    assert out.startswith("### S105 block-index")
    assert "**What wiremend does:**" in out


def test_to_explain_a_file_is_answered_with_what_checks_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("x.jsonl", TWO)
    assert main(PROGRAM, ["--explain", "x.jsonl"]) == 2
    assert capsys.readouterr().err == (
        "scripts/check: --explain explains a rule, such as S105; to check 'x.jsonl', leave out "
        "--explain\n"
    )


def test_the_report_is_written_to_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", TWO)
    assert main(PROGRAM, ["x.jsonl", "--output-file", "report.txt"]) == 1
    assert capsys.readouterr().out == ""
    assert "S105" in Path("report.txt").read_text()


def test_the_help_of_the_script_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(PROGRAM, ["--help"]) == 0
    text = capsys.readouterr().out
    assert text == HELP.format(program=PROGRAM)
    assert text in (ROOT / "scripts" / "check").read_text()
    assert max(map(len, text.splitlines())) <= 100


def test_text_of_the_recording_cannot_control_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    escape = OVERLOADED.replace(b"Overloaded", b"\\u001b]0;x\\u0007\\nnext line\\u202e")
    flow = http_flow(escape, status=529, content_type=JSON)
    write("x.mitm", flow_file(flow))
    main(PROGRAM, ["x.mitm", "--output-format", "concise"])
    out = capsys.readouterr().out
    assert "\\x1b]0;x\\x07 next line\\u202e" in out
    assert len(out.splitlines()) == 2


def test_progress_is_one_line_that_is_removed() -> None:
    terminal = io.StringIO()
    progress = ProgressLine(terminal)
    for number in range(1, 101):
        progress.update("x.mitm", number, number / 200)
    progress.clear()
    progress.clear()
    erase = "\r\x1b[K"
    expected = f"{erase}x.mitm: 50 flows, 25%{erase}x.mitm: 100 flows, 50%{erase}"
    assert terminal.getvalue() == expected


# Repairing


@pytest.mark.parametrize("name", NAMES)
def test_a_repaired_copy_is_clean_and_in_the_same_format(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(name, in_every_format(BROKEN)[name])
    before = Path(name).read_bytes()
    out = f"out-{name}"
    assert main(PROGRAM, [name, *ANTHROPIC, "--fix", out]) == 0
    assert "Fixed 1 of 1 problem: out-" in capsys.readouterr().err
    assert Path(name).read_bytes() == before
    assert main(PROGRAM, [out, *ANTHROPIC]) == 0
    if name == "body.sse":
        assert Path(out).read_bytes() == SOUND
    assert Path(out).stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_repaired_remains(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", line(BROKEN) + line(CUT) + line(SOUND))
    assert main(PROGRAM, ["x.jsonl", "--fix", "y.jsonl.xz", "--output-format", "concise"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("y.jsonl.xz: flow 2 response: E002")  # it ends in the error event now
    assert "Fixed 1 of 2 problems" in err
    assert "1 incomplete stream in it: the rest is unknown, so each ends in the error of" in err
    assert len(lzma.decompress(Path("y.jsonl.xz").read_bytes()).splitlines()) == 3


BROKEN_REQUEST = REQUEST.replace(b"{", b'{"tools":[{"name":"t","input_schema":{}}],', 1)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.mitm", flow_file(http_flow(SOUND, request=BROKEN_REQUEST))),
        ("x.har", har(entry({"text": SOUND.decode()}, request=BROKEN_REQUEST))),
        ("x.jsonl", line(SOUND, BROKEN_REQUEST)),
    ],
)
def test_requests_are_repaired_too(
    name: str, data: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    write(name, data)
    assert {one["side"] for one in problems(capsys, name)} == {"request"}
    assert main(PROGRAM, [name, "--fix", f"out-{name}"]) == 0
    capsys.readouterr()
    assert problems(capsys, f"out-{name}") == []


def test_nothing_is_written_for_a_recording_that_cannot_be_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("x.mitm", flow_file(http_flow(BROKEN), http_flow())[:-5])
    assert main(PROGRAM, ["x.mitm", "--fix", "y.mitm"]) == 2
    assert sorted(os.listdir()) == ["x.mitm"]


# Secrets

KEY = "sk-ant-api03-" + "x" * 40


def secret_places(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    main(PROGRAM, ["--secrets", "--output-format", "concise", *arguments])
    out, _ = capsys.readouterr()
    assert KEY not in out
    return [" ".join(text.split()[1:-1]).partition(" secret-")[0] for text in out.splitlines()[:-1]]


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_without_secrets_is_clean(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(name, in_every_format(SOUND)[name])
    assert main(PROGRAM, ["--secrets", name, *ANTHROPIC]) == 0
    assert "no problems" in capsys.readouterr().out


def test_secrets_are_reported_by_place_and_never_by_value(
    capsys: pytest.CaptureFixture[str],
) -> None:
    body = REQUEST.replace(b"{", b'{"metadata":{"user_id":"user_1"},', 1)
    body = body.replace(b'"hi"', f'"my key is {KEY}"'.encode())
    flow = http_flow(
        SOUND.replace(b"msg_1", b"the-credential"),
        request=body,
        path="/v1/messages?key=abcdefghij",
        headers=[(b"x-api-key", b"the-credential")],
    )
    assert flow.response is not None
    flow.response.headers["anthropic-organization-id"] = "org"
    flow.response.headers["set-cookie"] = "a=b"
    flow.comment = "the-credential"
    write("x.mitm", flow_file(flow))
    assert secret_places(capsys, "x.mitm") == [
        "flow 1 request header x-api-key:",
        "flow 1 request parameter key:",
        "flow 1 request metadata.user_id:",
        f"flow 1 request byte {body.index(KEY.encode())}:",
        "flow 1 response header anthropic-organization-id:",
        "flow 1 response header set-cookie:",
        "flow 1 response event 1:",
        "flow 1 comment byte 0:",
    ]


def test_secrets_in_what_wiremend_kept_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    flow = recorded_flow(attempt(SOUND.replace(b"msg_1", KEY.encode())), detail=f"bad {KEY}")
    flow.metadata["wiremend"]["attempts"][0]["request"]["headers"] = [["authorization", "Bearer k"]]
    write("x.mitm", flow_file(flow))
    found = secret_places(capsys, "x.mitm")
    assert "flow 1 attempt 1 request header authorization:" in found
    assert "flow 1 attempt 1 response event 1:" in found
    assert any(place.startswith("flow 1 metadata byte") for place in found)


@pytest.mark.parametrize(
    "value", ["REDACTED", "Bearer REDACTED", "[redacted]", "Bearer <redacted>", "***", ""]
)
def test_what_a_recorder_redacted_is_no_secret(
    value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.mitm", flow_file(http_flow(headers=[(b"authorization", value.encode())])))
    assert secret_places(capsys, "x.mitm") == []


def test_chance_in_base64_is_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    noise = b"AbC+" + KEY.replace("-", "_").encode() + b"/sk-ant-api03-" + b"y" * 40
    write("x.mitm", flow_file(http_flow(SOUND.replace(b"msg_1", noise))))
    assert secret_places(capsys, "x.mitm") == []


def test_kinds_of_secrets_can_be_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.mitm", flow_file(http_flow(headers=[(b"x-request-id", b"req_1")])))
    assert secret_places(capsys, "x.mitm") == ["flow 1 request header x-request-id:"]
    assert secret_places(capsys, "x.mitm", "--ignore", "secret-identity") == []


# As a process


def check(
    directory: Path, *arguments: str, stdin: bytes = b""
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-P", "-m", "wiremend", "check", *arguments],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT / "addons")},
        input=stdin,
        capture_output=True,
        timeout=60,
    )


def test_the_command_reads_a_pipe(tmp_path: Path) -> None:
    done = check(tmp_path, *ANTHROPIC, "-", stdin=BROKEN)
    assert (done.returncode, done.stderr) == (1, b"")
    assert b"<stdin>: flow 1 event 2: S105 block-index: block 1" in done.stdout


def test_hosts_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    write("x.jsonl", line(BROKEN))
    assert problems(capsys, "x.jsonl")[0]["host"] == HOST


# Bodies

CHAT_ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,'
    b'"finish_reason":"%b","message":{"role":"assistant","content":null,"tool_calls":'
    b'[{"id":"call_1","type":"function","function":{"name":"t","arguments":"{}"}}]}}]}'
)
GEMINI_PART = (
    b'{"candidates":[{"content":{"role":"model","parts":[{"text":"hi"}]},"finishReason":"%b",'
    b'"index":0}],"modelVersion":"gemini-2.5-pro","responseId":"r"}'
)


@pytest.mark.parametrize(
    ("protocol", "body", "code"),
    [
        ("chat", CHAT_ANSWER % b"tool_calls", None),
        ("chat", CHAT_ANSWER % b"stop", "S251"),
        ("gemini", b"[" + GEMINI_PART % b"STOP" + b"]", None),
        ("gemini", b"[" + GEMINI_PART % b"STOP", "R003"),
        ("gemini", GEMINI_PART % b"STOP", None),
        ("gemini", b"data: " + GEMINI_PART % b"abort" + b"\n\n", "E001"),
        ("responses", SOUND, "R003"),
        ("anthropic", b'{"type":"message"', "E003"),
    ],
)
def test_bodies_of_every_protocol(
    protocol: str, body: bytes, code: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    write("x.json", body)
    found = [one["code"] for one in problems(capsys, "x.json", "--protocol", protocol)]
    assert found[-1:] == [code] * (code is not None)
