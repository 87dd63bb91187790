"""`scripts/check` on what mitmdump writes, with and without the addons."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from wiremend.check.command import main
from wiremend.testing.certificates import Authority
from wiremend.testing.exchange import Reply
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import QUICK_RETRIES
from traffic.proxy import Proxy

ANTHROPIC = good.ANTHROPIC
HOST = good.HOSTS[ANTHROPIC]


def replies() -> list[Reply]:
    return [
        faults.none(ANTHROPIC),
        faults.streamed(good.stream_with_blocks_from_index(3).events),
        faults.reset_mid_stream(ANTHROPIC),
        faults.wrapped_error_first(ANTHROPIC),
        faults.reset_before_head(),
    ]


def make_calls(proxy: Proxy, count: int) -> None:
    for _ in range(count):
        with model_call(proxy, ANTHROPIC, True) as call:
            call.response()


def codes_in(path: Path, capsys: pytest.CaptureFixture[str]) -> Mapping[str, str]:
    """Return the codes by flow."""
    capsys.readouterr()
    assert main("scripts/check", [str(path), "--output-format", "concise"]) == 1
    lines = capsys.readouterr().out.splitlines()[:-1]
    found: dict[str, str] = {}
    for text in lines:
        words = text.removeprefix(f"{path}: ").split()
        code = text.rpartition(f"{path}: ")[2].partition(": ")[2].split()[0]
        found[" ".join(words[:2])] = f"{found.get(' '.join(words[:2]), '')} {code}".strip()
    return found


def test_stock_mitmdumps_recordings_have_upstreams_faults(
    authority: Authority,
    provider: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flows, har = tmp_path / "flows.mitm", tmp_path / "flows.har"
    provider.script(replies())
    arguments = ["-w", str(flows), "--set", f"hardump={har}"]
    with Proxy(
        tmp_path, authority, {HOST: provider.port}, scripts=(), arguments=arguments
    ) as proxy:
        make_calls(proxy, 5)
    expected = {"flow 2": "S105", "flow 3": "R002", "flow 4": "E001", "flow 5": "R002"}
    assert codes_in(flows, capsys) == expected
    assert codes_in(har, capsys)["flow 2"] == "S105"


@pytest.mark.long
def test_recordings_of_the_addons_have_upstreams_faults_and_not_the_repairs(
    authority: Authority,
    provider: ScriptedProvider,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flows = tmp_path / "flows.mitm"
    provider.script(
        [
            faults.none(ANTHROPIC),
            faults.streamed(good.stream_with_blocks_from_index(3).events),
            faults.reset_before_head(),
            faults.none(ANTHROPIC),
        ]
    )
    with Proxy(
        tmp_path,
        authority,
        {HOST: provider.port},
        configuration=QUICK_RETRIES,
        arguments=["-w", str(flows)],
    ) as proxy:
        make_calls(proxy, 3)
    assert codes_in(flows, capsys) == {"flow 2": "S105", "flow 3": "R002"}
