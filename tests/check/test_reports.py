"""The formats of the report, against their schemas, with text that each of them has to escape."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import orjson
import pytest
import xmlschema
from recorded_files import BROKEN, CUT, REQUEST, SOUND, flow_file, http_flow, line
from wiremend.catalogue import catalogue
from wiremend.check.command import main
from wiremend.check.reports.github import SHOWN
from wiremend.check.reports.registry import FORMATS
from wiremend.check.reports.sarif import RESULTS_LIMIT

SARIF = json.loads(Path(__file__).with_name("sarif_schema.json").read_text())
JUNIT = xmlschema.XMLSchema(Path(__file__).with_name("junit_schema.xsd"))
ODD_NAME = "a,b: 100% <&>\u00fc.jsonl"
ODD_TEXT = "\\u0000\\u001b<&>]]>|%0A\\ud800 \\ufffe ``` ::error::"
ODD = b'{"type":"error","error":{"type":"overloaded_error","message":"%b"}}' % ODD_TEXT.encode()


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)


def report(form: str, *names: str) -> str:
    """Return the report on the files in this format. Also when it is written to a terminal."""
    main("scripts/check", [*names, "--output-format", form, "--output-file", "report"])
    return Path("report").read_text(encoding="utf-8")


def odd_files() -> list[str]:
    """Write files with every kind of problem; return their names, and one that is missing."""
    error = line(ODD, status=529, content_type="application/json")
    Path(ODD_NAME).write_bytes(line(BROKEN) + line(SOUND) + error + line(CUT))
    Path("cut.mitm").write_bytes(flow_file(http_flow(BROKEN), http_flow())[:-5])
    Path("clean.mitm").write_bytes(flow_file(http_flow()))
    return [ODD_NAME, "cut.mitm", "clean.mitm", "missing.mitm"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_mutated_recording_is_named_with_its_finding(form: str) -> None:
    Path("x.jsonl").write_bytes(line(SOUND) + line(BROKEN))
    text = report(form, "x.jsonl")
    assert "x.jsonl" in text
    assert "S105" in text
    assert "event 2" in text
    assert "3 times" in text or '"count":3' in text or '"occurrenceCount":3' in text


@pytest.mark.parametrize("form", FORMATS)
def test_no_report_is_empty_or_fails_for_a_clean_recording(form: str) -> None:
    Path("x.jsonl").write_bytes(line(SOUND))
    assert main("scripts/check", ["x.jsonl", "--output-format", form]) == 0
    assert "S105" not in report(form, "x.jsonl")


def valid_sarif(text: str) -> Any:
    document = json.loads(text)
    jsonschema.validate(document, SARIF)
    [run] = document["runs"]
    return run


def test_sarif_is_valid() -> None:
    run = valid_sarif(report("sarif", *odd_files()))
    results = run["results"]
    assert [result["ruleId"] for result in results] == ["S105", "R005", "R003", "S105"]
    rules = run["tool"]["driver"]["rules"]
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in results)
    uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri) == ODD_NAME
    assert " " not in uri
    [invocation] = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert len(invocation["toolExecutionNotifications"]) == 2


def test_fingerprints_of_sarif_do_not_depend_on_the_position() -> None:
    Path("x.jsonl").write_bytes(line(BROKEN))
    Path("y.jsonl").write_bytes(line(SOUND) + line(BROKEN))
    runs = [valid_sarif(report("sarif", name)) for name in ("x.jsonl", "y.jsonl")]
    first, second = (run["results"][0]["partialFingerprints"] for run in runs)
    assert first == second


def test_sarif_has_no_more_results_than_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wiremend.check.reports.sarif.RESULTS_LIMIT", 3)
    Path("x.jsonl").write_bytes(line(BROKEN) * 5)
    run = valid_sarif(report("sarif", "x.jsonl"))
    assert len(run["results"]) == 3
    [note] = run["invocations"][0]["toolExecutionNotifications"]
    assert note["message"]["text"] == "2 results were left out"
    assert RESULTS_LIMIT == 5000


def checked_junit(text: str) -> ElementTree.Element:
    JUNIT.validate(text)
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for suite in root:
        cases = list(suite)
        assert int(suite.attrib["tests"]) == len(cases)
        assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
        assert int(suite.attrib["errors"]) == len(suite.findall("testcase/error"))
    return root


def test_junit_is_valid_by_its_schema() -> None:
    root = checked_junit(report("junit", *odd_files()))
    names = [suite.attrib["name"] for suite in root]
    assert names == [ODD_NAME, "cut.mitm", "clean.mitm", "missing.mitm"]
    counts = [[suite.attrib[name] for name in ("tests", "failures", "errors")] for suite in root]
    assert counts == [["4", "3", "0"], ["2", "1", "1"], ["1", "0", "0"], ["1", "0", "1"]]
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert failure.attrib["type"] == "S105"


WRONG_JUNIT = {
    "an element": ("<failure", "<defect"),
    "an attribute": (" message=", " text="),
    "a place": ("<testsuites ", "<testsuite "),
    "a missing attribute": (' failures="3"', ""),
    "a number": (' failures="3"', ' failures="three"'),
    "a time": (' time="0.000"', ' time="0.000 s"'),
}


@pytest.mark.parametrize("case", WRONG_JUNIT)
def test_the_schema_of_junit_finds_what_is_wrong(case: str) -> None:
    old, new = WRONG_JUNIT[case]
    text = report("junit", *odd_files())
    assert old in text
    closing = {f"</{old[1:].strip()}>": f"</{new[1:].strip()}>"} if old[0] == "<" else {}
    wrong = text.replace(old, new)
    for end, other in closing.items():
        wrong = wrong.replace(end, other)
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        JUNIT.validate(wrong)


def test_gitlab_has_one_fingerprint_for_each_issue() -> None:
    issues = json.loads(report("gitlab", *odd_files()))
    assert len({issue["fingerprint"] for issue in issues}) == len(issues) == 6
    for issue in issues:
        assert set(issue) == {"description", "check_name", "fingerprint", "severity", "location"}
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert issue["location"]["lines"]["begin"] == 1
    assert issues[0]["location"]["path"] == ODD_NAME


def test_each_annotation_of_github_is_one_escaped_line() -> None:
    lines = report("github", *odd_files()).splitlines()
    escaped = "file=a%2Cb%3A 100%25 <&>\u00fc.jsonl,line=1,title=wiremend (S105)::flow 1 event 2"
    assert f"::error {escaped}" in "\n".join(lines)
    assert all(text.startswith("::error file=") for text in lines)
    assert len(lines) == 6
    assert any("%250A" in text for text in lines)


def test_what_is_wrong_with_a_request_is_a_warning() -> None:
    request = REQUEST.replace(b"{", b'{"tools":[{"name":"t","input_schema":{}}],', 1)
    Path("x.jsonl").write_bytes(line(SOUND, request))
    assert report("github", "x.jsonl").startswith("::warning file=x.jsonl,line=1,title=wiremend (T")
    assert {one["level"] for one in valid_sarif(report("sarif", "x.jsonl"))["results"]} == {
        "warning"
    }
    assert {one["severity"] for one in json.loads(report("gitlab", "x.jsonl"))} == {"minor"}


def test_github_shows_few_annotations_and_the_summary_has_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"{number:02}.jsonl" for number in range(SHOWN + 3)]
    for name in names:
        Path(name).write_bytes(line(BROKEN) * 2)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    lines = report("github", *names).splitlines()
    assert len([text for text in lines if text.startswith("::error")]) == SHOWN
    assert lines[-1] == (
        "::notice title=wiremend::3 more groups of problems; the summary of the job lists them"
    )
    summary = Path("summary.md").read_text()
    assert all(f"| {name} | 2 |" in summary for name in names)


def test_json_and_json_lines_have_the_same_objects() -> None:
    names = odd_files()
    array = orjson.loads(report("json", *names))
    assert array == [orjson.loads(text) for text in report("json-lines", *names).splitlines()]
    assert [one["code"] for one in array] == ["S105", "R005", "R003", "S105", None, None]


def test_every_rule_can_be_reported_in_sarif() -> None:
    from wiremend.check.problems import CheckedFlow, Problem
    from wiremend.check.reports.sarif import SarifReport
    from wiremend.check.runs import Totals, rules_by_code

    sarif = SarifReport(rules_by_code())
    problems = [
        Problem(
            file="x",
            flow=1,
            attempt=0,
            side="response",
            code=rule.code,
            name=rule.name,
            place="event 1",
            message="m",
        )
        for rule in catalogue()
    ]
    flow = CheckedFlow("x", 1, "POST h/p", is_call=True, problems=problems)
    run = valid_sarif(sarif.start() + sarif.add(flow) + sarif.end(Totals()))
    assert len(run["tool"]["driver"]["rules"]) == len(catalogue())
