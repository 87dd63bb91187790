import re
import subprocess
from pathlib import Path

import pytest
from benchmarks import __main__ as command
from benchmarks import contenders, native, peers
from benchmarks.processes import BenchError
from benchmarks.workloads import all_workloads

ROOT = Path(__file__).resolve().parents[2]


def names(*words: str) -> list[str]:
    found = command.chosen_contenders(command.arguments(words))
    return [contender.name for contender in found]


def test_the_help_lists_all_options_and_no_other() -> None:
    source = (ROOT / "scripts" / "benchmarks" / "__main__.py").read_text()
    options = set(re.findall(r'add_argument\("(--[a-z-]+)"', source))
    done = subprocess.run([ROOT / "scripts" / "bench", "--help"], capture_output=True, text=True)
    assert set(re.findall(r"--[a-z-]+", done.stdout)) == options


def test_the_floor_is_measured_twice_by_default() -> None:
    assert names() == ["direct", "floor", "wiremend", "translating", "floor again"]


def test_the_floor_is_always_measured() -> None:
    assert names("--only", "wiremend") == ["floor", "wiremend"]


@pytest.mark.parametrize("option", ["--floor-script", "--floor-program"])
def test_a_variant_of_the_floor_is_added(option: str) -> None:
    assert names(option, "variant.py")[-1] == contenders.VARIANT


def test_an_unknown_contender_is_refused() -> None:
    with pytest.raises(BenchError, match="no such contender: nginx"):
        names("--only", "nginx")


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--peers", "nginx"], ["--workload", "x"]])
def test_invalid_options_are_refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.arguments(words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_workloads_are_chosen_by_name_in_the_order_of_the_table() -> None:
    words = ["--workload", "paced", "--workload", "calls-1", "--quick"]
    chosen = command.chosen_workloads(command.arguments(words))
    assert [workload.name for workload in chosen] == ["calls-1", "paced"]
    assert chosen[0].load.seconds < all_workloads()["calls-1"].load.seconds


def test_a_peer_that_is_not_installed_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(BenchError, match=r"LiteLLM .* not installed.*--install-peers"):
        names("--peers", "litellm")


def test_peers_are_installed_outside_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert all(peer.folder.is_relative_to(tmp_path) for peer in peers.all_peers().values())


def test_a_failed_installation_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise BenchError("no network")

    folder = tmp_path / "peer"
    peer = peers.Peer("peer", folder, folder / "program", fail, contenders.direct())
    with pytest.raises(BenchError):
        peers.install(peer)
    assert not folder.exists()


def test_a_missing_compiler_is_named_with_the_packages_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match="apt-get install gcc libssl-dev"):
        native.compiled("load")
