"""The format of JUnit: a suite for each file, a case for each call, a failure for each problem.

Only elements and attributes of the schema that Jenkins uses are written.
"""

from xml.sax.saxutils import escape, quoteattr

from wiremend.check.problems import CheckedFlow, Problem
from wiremend.check.reports.report import TOOL
from wiremend.check.runs import Totals, Unusable

_TIME = "0.000"
_LOWEST = 0x20
_WHITE_SPACE = "\t\n\r"


class JunitReport:
    """The cases of one file are kept until their numbers are known."""

    def __init__(self) -> None:
        self._file: str | None = None
        self._cases: list[str] = []
        self._tests = self._failures = self._errors = 0

    def start(self) -> str:
        """Open the document."""
        return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites name="{TOOL}">\n'

    def add(self, flow: CheckedFlow) -> str:
        """Add the case of a call; return the suite of the file before."""
        finished = self._enter(flow.file)
        if flow.is_call:
            failures = "".join(map(_failure, flow.problems))
            self._add_case(f"flow {flow.flow}: {flow.name}", failures)
            self._failures += len(flow.problems)
        return finished

    def add_unusable(self, unusable: Unusable) -> str:
        """Add a case with an error; return the suite of the file before."""
        finished = self._enter(unusable.file)
        message = _attribute(unusable.reason)
        self._add_case("read the recording", f'<error type="unusable" message={message}/>')
        self._errors += 1
        return finished

    def end(self, totals: Totals) -> str:
        """Return the last suite, and close the document."""
        return self._suite() + "</testsuites>\n"

    def _enter(self, file: str) -> str:
        if file == self._file:
            return ""
        finished = self._suite()
        self._file, self._cases = file, []
        self._tests = self._failures = self._errors = 0
        return finished

    def _add_case(self, name: str, content: str) -> None:
        assert self._file is not None
        self._tests += 1
        start = f"<testcase classname={_attribute(self._file)} name={_attribute(name)}"
        end = f">{content}</testcase>" if content else "/>"
        self._cases.append(f'{start} time="{_TIME}"{end}\n')

    def _suite(self) -> str:
        if self._file is None or not self._tests:
            return ""
        numbers = f'tests="{self._tests}" failures="{self._failures}" errors="{self._errors}"'
        start = f'<testsuite name={_attribute(self._file)} {numbers} time="{_TIME}">\n'
        return f"{start}{''.join(self._cases)}</testsuite>\n"


def _failure(problem: Problem) -> str:
    text = f"{problem.location}: {problem.text}\n{problem.hint}"
    message = _attribute(f"{problem.code} {problem.text}")
    return f"<failure type={_attribute(problem.code)} message={message}>{_content(text)}</failure>"


def _content(text: str) -> str:
    return escape(valid_xml(text))


def _attribute(text: str) -> str:
    return quoteattr(valid_xml(text))


def valid_xml(text: str) -> str:
    """Return the text with characters replaced that XML cannot contain, not even escaped."""
    return "".join(c if _is_valid(c) else "\ufffd" for c in text)


def _is_valid(character: str) -> bool:
    code = ord(character)
    if code < _LOWEST:
        return character in _WHITE_SPACE
    return not (0xD800 <= code <= 0xDFFF or code in (0xFFFE, 0xFFFF))
