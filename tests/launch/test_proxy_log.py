"""The log of the proxy of a command, on disks that are full, slow or in order."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
import wiremend
from wiremend.launch.proxy_log import LINE_LIMIT_BYTES, ProxyLog

RUN = (sys.executable, "-P", "-m", "wiremend", "run")
LINE = b"a" * 99 + b"\n"
COUNT = 1000
MANY = 20_000
"""More lines than the pipe and the queue can hold."""


@contextmanager
def followed(log: ProxyLog) -> Iterator[BinaryIO]:
    """Yield the writing end of a pipe that the log follows; it takes the proxy's place."""
    reader, writer = os.pipe()
    with open(reader, "rb") as output, open(writer, "wb", buffering=0) as proxy:
        log.follow(output)
        yield proxy
        proxy.close()
        log.finish(5.0)


def test_the_whole_output_is_written(tmp_path: Path) -> None:
    log = ProxyLog.of_run(tmp_path)
    with followed(log) as proxy:
        for number in range(COUNT):
            proxy.write(b"%d\n" % number)
        proxy.write(b"b" * (LINE_LIMIT_BYTES + 10) + b"\nend")
    lines = log.path.read_bytes().split(b"\n")
    assert lines[:COUNT] == [b"%d" % number for number in range(COUNT)]
    assert lines[COUNT:] == [b"b" * (LINE_LIMIT_BYTES + 10), b"end"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_does_not_block_the_proxy(capfd: pytest.CaptureFixture[str]) -> None:
    log = ProxyLog(Path("/dev/full"), os.open("/dev/full", os.O_WRONLY))
    with followed(log) as proxy:
        for _ in range(MANY):
            proxy.write(LINE)
    assert capfd.readouterr() == ("", "")


def test_a_disk_that_does_not_answer_does_not_block_the_proxy(tmp_path: Path) -> None:
    unread, stuck = os.pipe()
    with followed(ProxyLog(tmp_path, stuck)) as proxy:
        for _ in range(MANY):
            proxy.write(LINE)
        os.close(unread)  # the write that was stuck fails


def test_lost_lines_are_counted_once_there_is_space_again() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    log = ProxyLog(Path("proxy.log"), writer)
    written = 0
    while written < MANY and not log._lost_lines:
        log.write(LINE)
        written += 1
    log.write(LINE)
    with open(reader, "rb") as output:
        output.read1(1 << 20)
        log.write(b"last\n")
        os.close(writer)
        assert output.read() == b"[2 lines missing: no room to write]\nlast\n"


FILL_THE_LOG = """
import os, resource, socket, sys
from pathlib import Path
port = int(os.environ["HTTPS_PROXY"].rpartition(":")[2])
log = next(Path(os.environ["XDG_STATE_HOME"]).rglob("proxy.log"))
size = log.stat().st_size
_, hard = resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE)
resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (size, hard))
for _ in range(1000):  # each makes two lines in the log: more than a pipe can hold
    socket.create_connection(("127.0.0.1", port), 10.0).close()
with socket.create_connection(("127.0.0.1", port), 10.0) as client:
    client.sendall(b"GET / HTTP/1.1\\r\\nhost: example.com\\r\\n\\r\\n")
    print(client.recv(12).decode())
"""


@pytest.mark.long
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits another process")
def test_a_proxy_whose_log_cannot_be_written_answers_on(tmp_path: Path) -> None:
    """The command lets the log file grow no further, as a full disk does."""
    inherited = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
    users = {f"XDG_{kind}_HOME": str(tmp_path / kind) for kind in ("CONFIG", "STATE")}
    done = subprocess.run(
        [*RUN, "--", sys.executable, "-c", FILL_THE_LOG],
        cwd=tmp_path,
        env={**inherited, **users, "PYTHONPATH": str(Path(wiremend.__path__[0]).parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "HTTP/1.1 400\n"), done.stderr
    assert "Traceback" not in done.stderr


def test_a_log_of_another_run_is_not_used(tmp_path: Path) -> None:
    logs = [ProxyLog.of_run(tmp_path) for _ in range(2)]
    assert [log.path.name for log in logs] == ["proxy.log", "proxy-2.log"]
