"""A proxy that has no file descriptor left accepts no connection, and recovers."""

import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.clients import model_call
from traffic.conftest import SHARED
from traffic.proxy import REPOSITORY, Proxy

RAISE = """
import resource
from wiremend.seam.process.open_files import raise_open_files_limit
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
raise_open_files_limit()
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def test_the_soft_limit_is_raised_to_the_hard_one_within_a_bound() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISE], cwd=REPOSITORY / "addons", capture_output=True, text=True
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    most = 65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard)
    assert (done.stderr, int(done.stdout)) == ("", most)


@pytest.mark.long
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits another process")
def test_a_proxy_without_descriptors_logs_one_line_and_recovers(
    authority: Authority, provider: ScriptedProvider, tmp_path: Path
) -> None:
    hosts = dict.fromkeys(good.HOSTS.values(), provider.port)
    with (
        ExitStack() as connections,
        Proxy(
            tmp_path, authority, hosts, scripts=SHARED, refusals_file=provider.refusals_file
        ) as proxy,
    ):
        used = len(list(Path(f"/proc/{proxy.pid}/fd").iterdir()))
        limit = resource.prlimit(proxy.pid, resource.RLIMIT_NOFILE, (used + 20, used + 20))
        assert limit[0] == min(limit[1], 65_536), "the soft limit was not raised at the start"
        address = ("127.0.0.1", proxy.port)
        idle = [connections.enter_context(socket.create_connection(address)) for _ in range(80)]
        proxy.wait_for_line("no connection can be accepted", timeout_seconds=20.0)
        tried = len(proxy.lines)
        idle[-1].settimeout(3.0)  # asyncio tries again after a second, a hundred times
        with pytest.raises(TimeoutError):
            idle[-1].recv(1)
        # Connections that were accepted before may be logged only now.
        later = [line for line in proxy.lines[tried:] if not line.endswith("client connect")]
        assert len(later) < 10
        connections.close()
        provider.script([faults.none(good.ANTHROPIC)])
        with model_call(proxy, good.ANTHROPIC, True, http_version="HTTP/1.1") as call:
            assert call.response().ended == "complete"
        about_it = [line for line in proxy.lines if "can be accepted" in line]
        assert len(about_it) == 1
        proxy.assert_log_is_clean()
