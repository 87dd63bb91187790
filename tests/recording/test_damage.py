"""Damaged files: whatever they contain, a check ends in its report and one line for each file."""

import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recorded_files import BROKEN, SOUND, flow_file, har, http_flow, in_every_format
from wiremend.check.runs import Run, Totals, Unusable
from wiremend.check.selection import Selection
from wiremend.engine.settings import Settings
from wiremend.protocols.base.names import WireProtocol

FILES = in_every_format(BROKEN)
NOTHING = b"", b"0", b"\xff", b"{", b'"', b"null", b"9" * 30, b"[" * 300, b"\\ud800", b"\n"
spans = st.tuples(
    st.floats(0, 1), st.integers(0, 40), st.one_of(st.binary(max_size=8), st.sampled_from(NOTHING))
)


def checked(path: Path, *, seeks_secrets: bool = False) -> Totals:
    totals = Totals()
    run = Run(
        Settings(),
        Selection(),
        io.BytesIO(),
        WireProtocol.ANTHROPIC_MESSAGES,
        seeks_secrets=seeks_secrets,
    )
    for one in run.check([str(path)]):
        if isinstance(one, Unusable):
            totals.unusable += 1
            assert "\n" not in one.reason
            assert "bug" not in one.reason
        else:
            totals.add(one)
    return totals


@pytest.mark.parametrize("name", FILES)
@given(damage=st.lists(spans, min_size=1, max_size=4), seeks_secrets=st.booleans())
@settings(suppress_health_check=list(HealthCheck))
def test_no_damage_raises(
    name: str, damage: list[tuple[float, int, bytes]], seeks_secrets: bool, tmp_path: Path
) -> None:
    data = FILES[name]
    for where, length, replacement in damage:
        start = int(where * len(data))
        data = data[:start] + replacement + data[start + length :]
    path = tmp_path / name
    path.write_bytes(data)
    assert checked(path, seeks_secrets=seeks_secrets).unusable <= 1


VALUES = (None, True, 0, -1, 1.5, 10**30, "", "x", [], [None], {}, {"name": 1}, "\ud800", [[[]]])


def replaced(value: object, number: int, new: object) -> tuple[object, int]:
    """Return the JSON value with its n-th part replaced, and how many parts it has."""
    count = 1
    if number == 0:
        return new, count
    if isinstance(value, dict):
        changed: dict[object, object] = {}
        for key, item in value.items():
            changed[key], parts = replaced(item, number - count, new)
            count += parts
        return changed, count
    if isinstance(value, list):
        items = []
        for item in value:
            part, parts = replaced(item, number - count, new)
            items.append(part)
            count += parts
        return items, count
    return value, count


def test_every_value_of_a_har_entry_may_be_anything(tmp_path: Path) -> None:
    import json

    entry = json.loads(FILES["chrome.har"])["log"]["entries"][0]
    _, parts = replaced(entry, -1, None)
    assert parts > 40
    entries = [replaced(entry, number, new)[0] for number in range(parts) for new in VALUES]
    path = tmp_path / "x.har"
    path.write_text(json.dumps({"log": {"entries": entries}}))
    totals = checked(path)
    assert (totals.unusable, totals.flows) == (0, len(entries))
    assert checked(path, seeks_secrets=True).flows == len(entries)


def test_every_value_of_a_line_may_be_anything(tmp_path: Path) -> None:
    import json

    fields = json.loads(FILES["exchanges.jsonl"])
    _, parts = replaced(fields, -1, None)
    path = tmp_path / "x.jsonl"
    for number in range(parts):
        for new in VALUES:
            path.write_text(json.dumps(replaced(fields, number, new)[0]))
            totals = checked(path, seeks_secrets=new == "\ud800")
            assert totals.unusable + totals.flows == 1


@pytest.mark.long
def test_every_value_of_a_flow_may_be_anything(tmp_path: Path) -> None:
    """Also of the record in its metadata."""
    from mitmproxy.io import tnetstring

    for name in ("stock.mitm", "own.mitm"):
        state = tnetstring.loads(FILES[name])
        _, parts = replaced(state, -1, None)
        path = tmp_path / name
        for number in range(parts):
            for new in (None, 1, "x", b"\xff", [], {}):
                changed, _ = replaced(state, number, new)
                path.write_bytes(tnetstring.dumps(changed))  # type: ignore[arg-type]
                totals = checked(path, seeks_secrets=new == 1)
                assert totals.unusable + totals.flows == 1


def test_the_files_are_read_without_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.har"
    path.write_bytes(har({}))
    assert checked(path).flows == 1
    path = tmp_path / "x.mitm"
    path.write_bytes(flow_file(http_flow(SOUND), http_flow(BROKEN)))
    assert checked(path).problems == {"S105": 1}
