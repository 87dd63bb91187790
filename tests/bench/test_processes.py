import sys
from pathlib import Path

import pytest
from benchmarks.processes import BenchError, Server, free_port, inherited_environment


def server(directory: Path, *command: str) -> Server:
    return Server(command, directory / "log", directory, {})


def test_a_program_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="no-such-program does not start"):
        server(tmp_path, str(tmp_path / "no-such-program")).__enter__()


def test_a_server_that_ends_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    program = server(tmp_path, sys.executable, "-c", "print('no key is set')")
    with program, pytest.raises(BenchError, match=r"does not listen .*\nno key is set"):
        program.wait_for_port(free_port(), limit_seconds=60)


def test_the_port_is_read_from_the_log(tmp_path: Path) -> None:
    code = "import signal; print('listening at 127.0.0.1:1234', flush=True); signal.pause()"
    program = server(tmp_path, sys.executable, "-c", code)
    with program:
        assert program.wait_for_line(r"listening at \S*:(\d+)", limit_seconds=60)[1] == "1234"


def test_children_use_no_proxy_and_not_the_path_of_the_bench(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("https_proxy", "HTTP_PROXY", "PYTEST_CURRENT_TEST", "PYTHONPATH"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("KEPT", "x")
    environment = inherited_environment()
    assert environment["KEPT"] == "x"
    assert not environment.keys() & {"https_proxy", "HTTP_PROXY", "PYTHONPATH"}
    assert not any(name.startswith("PYTEST_") for name in environment)
