"""The pytest plugin, in runs of pytest of its own."""

import os
import signal
import socket
import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

CONFTEST = """
import json
import ssl
import urllib.request
import pytest

@pytest.fixture
def ask(wiremend):
    context = ssl.create_default_context(cafile=wiremend.env["SSL_CERT_FILE"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": wiremend.env["HTTPS_PROXY"]}),
        urllib.request.HTTPSHandler(context=context),
    )

    def open_call(host="api.anthropic.com", **fields):
        body = {"model": "claude-opus-5", "max_tokens": 9, "stream": True,
                "messages": [{"role": "user", "content": "Say hello."}]} | fields
        headers = {"content-type": "application/json", "x-api-key": "sk-test"}
        request = urllib.request.Request(
            f"https://{host}/v1/messages", json.dumps(body).encode(), headers)
        return opener.open(request)

    return open_call
"""
OVERLOADED = '{"status": 529, "json": {"type": "error", "error": {"type": "overloaded_error"}}}'
QUICK = '@pytest.mark.wiremend(config="[retry]\\nbackoff_initial = 0.01\\nattempts = 2\\n")'
RETRIED = f"""
import pytest
from wiremend.call_record.outcomes import AttemptOutcome, CallState

ANSWER = {{"answer": "anthropic-messages"}}

{QUICK}
def test_retried(wiremend, wiremend_provider, ask):
    wiremend_provider.script([{OVERLOADED}, ANSWER])
    with ask() as response:
        assert "message_stop" in response.read().decode()
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makeini("[pytest]\naddopts = -p no:anyio --strict-markers -p no:cacheprovider\n")
    return pytester


def run(project: pytest.Pytester, text: str, *arguments: str) -> pytest.RunResult:
    project.makepyfile(text)
    return project.runpytest_subprocess("-W", "error", *arguments)


def test_a_test_sees_calls_attempts_and_findings(project: pytest.Pytester) -> None:
    checks = """
    [call] = wiremend.calls
    assert call.outcome is CallState.ANSWERED
    assert call.model_asked == "claude-opus-5"
    assert [one.outcome for one in wiremend.attempts] == [
        AttemptOutcome.FAILED, AttemptOutcome.ANSWERED]
    assert [finding.code for finding in wiremend.findings] == ["R005"]
    wiremend.assert_no_failures()
    wiremend.assert_clean(ignore=["R"])
    wiremend.assert_clean(ignore=["R005"])
    assert len(wiremend_provider.received) == 2
"""
    run(project, RETRIED + checks).assert_outcomes(passed=1)


@pytest.mark.long
def test_the_record_of_a_call_is_final_once_its_response_was_read(
    project: pytest.Pytester,
) -> None:
    text = """
from wiremend.call_record.outcomes import CallState

def test_it(wiremend, wiremend_provider, ask):
    wiremend_provider.script([{"answer": "anthropic-messages"}])
    for number in range(1, 51):
        with ask() as response:
            response.read()
        outcomes = [call.outcome for call in wiremend.calls]
        assert outcomes == [CallState.ANSWERED] * number
"""
    run(project, text).assert_outcomes(passed=1)


@pytest.mark.long
def test_a_running_call_is_visible(project: pytest.Pytester) -> None:
    text = """
from wiremend.call_record.outcomes import CallState

def test_it(wiremend, wiremend_provider, ask):
    wiremend_provider.script([{"answer": "anthropic-messages", "after": 5, "ending": "stall"}])
    with ask() as response:
        response.readline()
        [call] = wiremend.calls
        assert call.outcome is CallState.RUNNING
        wiremend.assert_no_failures()
"""
    run(project, text).assert_outcomes(passed=1)


@pytest.mark.long
def test_assert_clean_lists_findings(project: pytest.Pytester) -> None:
    result = run(project, RETRIED + "    wiremend.assert_clean(ignore=['S', 'R003'])\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E * AssertionError: 1 findings:", "E * call 1: R005 attempt 1: *"]
    )
    assert "def assert_clean" not in result.stdout.str()


@pytest.mark.long
def test_assert_no_failures_lists_calls(project: pytest.Pytester) -> None:
    failing = RETRIED.replace(", ANSWER]", "]").partition("    with ask()")[0]
    text = (
        failing
        + """
    import urllib.error
    with pytest.raises(urllib.error.HTTPError) as error:
        ask()
    error.value.close()
    wiremend.assert_no_failures()
"""
    )
    result = run(project, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E * AssertionError: 1 of 1 calls failed; all calls:",
            "E * call 1: anthropic-messages, claude-opus-5, api.anthropic.com: failed (error 529)",
            "E * attempt 2: failed*",
        ]
    )


@pytest.mark.long
def test_a_failed_test_shows_the_calls_and_the_log(project: pytest.Pytester) -> None:
    result = run(project, RETRIED + "    assert False, 'on purpose'\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- wiremend calls and log: wiremend -*",
            "call 1: anthropic-messages, claude-opus-5, api.anthropic.com: answered",
            "  attempt 1: failed: overloaded_error",
            "  attempt 2: answered",
            "  R005 attempt 1: *",
            "*HTTP(S) proxy listening at 127.0.0.1:*",
        ]
    )


@pytest.mark.long
def test_a_passed_test_shows_no_log(project: pytest.Pytester) -> None:
    printed = RETRIED + "    print('printed by the test')\n"
    result = run(project, printed, "-rA")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["printed by the test"])  # -rA shows what a passed test printed
    assert "wiremend calls" not in result.stdout.str()


@pytest.mark.long
def test_the_marker_takes_the_path_of_a_file(project: pytest.Pytester) -> None:
    config = '[[models]]\nmatch = "claude-*"\nmodel = "kimi-k3"\n'
    project.path.joinpath("team.toml").write_text(config)
    text = """
import pathlib
import pytest

@pytest.mark.wiremend(config=pathlib.Path("team.toml"))
def test_it(wiremend, wiremend_provider, ask):
    wiremend_provider.script([{"answer": "anthropic-messages"}])
    with ask() as response:
        response.read()
    assert wiremend.calls[0].model_used == "kimi-k3"
    assert wiremend_provider.received[0].json()["model"] == "kimi-k3"
"""
    run(project, text).assert_outcomes(passed=1)


@pytest.mark.first_row
@pytest.mark.parametrize("arguments", ["", "'x'", "configuration='x'", "config='x', more=1"])
def test_a_wrong_marker_is_reported(arguments: str, project: pytest.Pytester) -> None:
    text = f"import pytest\n@pytest.mark.wiremend({arguments})\ndef test_it(wiremend): pass\n"
    result = run(project, text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*test_it: write the marker as wiremend(config=..., *"])


@pytest.mark.long
def test_a_wrong_configuration_is_reported(project: pytest.Pytester) -> None:
    text = """
import pytest

@pytest.mark.wiremend(config="[retry]\\natempts = 2")
def test_it(wiremend): pass
"""
    result = run(project, text)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*retry.atempts*"])


@pytest.mark.long
def test_every_provider_host_is_the_provider_and_no_other_host_is_reached(
    project: pytest.Pytester,
) -> None:
    text = """
import urllib.error
import pytest

CONFIG = '''
[providers.mine]
base_url = "https://llm.example.org"
api_key = "sk-other"
[providers.address]
base_url = "https://192.0.2.7"
api_key = "sk-other"
'''

@pytest.mark.wiremend(config=CONFIG, provider_hosts=["192.0.2.7"])
def test_it(wiremend, wiremend_provider, ask):
    wiremend_provider.alpn = ("h2", "http/1.1")
    wiremend_provider.script([{"answer": "anthropic-messages"}])
    hosts = ["api.anthropic.com", "openrouter.ai", "llm.example.org", "192.0.2.7"]
    for host in hosts:
        with ask(host) as response:
            response.read()
    assert [one.header("host") for one in wiremend_provider.received] == hosts
    assert {one.http_version for one in wiremend_provider.received} == {"HTTP/2"}
    for host in ("example.com", "192.0.2.8", "[2001:db8::1]"):
        with pytest.raises(OSError):
            ask(host)
        wiremend.wait_for_line(f"{host.strip('[]')} is not part of this test")
    wiremend.assert_no_failures()
"""
    run(project, text).assert_outcomes(passed=1)


@pytest.mark.long
def test_an_address_of_this_machine_is_called_unless_it_is_the_providers(
    project: pytest.Pytester,
) -> None:
    text = """
import json, socket, threading, urllib.error, urllib.request
import pytest

listener = socket.create_server(("127.0.0.1", 0))
PORT = listener.getsockname()[1]
CONFIG = f'''
[retry]
attempts = 1
[[models]]
match = "*"
provider = "local"
[providers.local]
base_url = "http://127.0.0.1:{PORT}"
api_key = "sk-local"
'''

@pytest.mark.wiremend(config=CONFIG)
def test_without(wiremend, wiremend_provider, ask):
    accepted = threading.Thread(target=lambda: listener.accept()[0].close())
    accepted.start()
    with pytest.raises(urllib.error.HTTPError):
        ask()
    accepted.join(10)
    assert not accepted.is_alive()
    assert wiremend_provider.received == []

@pytest.mark.wiremend(config=CONFIG, provider_hosts=["127.0.0.1"])
def test_with(wiremend, wiremend_provider, ask):
    wiremend_provider.script([{"answer": "anthropic-messages"}])
    with ask() as response:
        assert "message_stop" in response.read().decode()
    assert wiremend_provider.received[0].header("host") == f"127.0.0.1:{PORT}"
    listener.settimeout(0)
    with pytest.raises(BlockingIOError):
        listener.accept()

@pytest.mark.wiremend(provider_hosts=["127.0.0.1"])
def test_without_a_provider(wiremend): pass

@pytest.mark.wiremend(provider_hosts="127.0.0.1")
def test_wrong(wiremend_provider): pass
"""
    result = run(project, text)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*provider_hosts needs the fixture wiremend_provider, and no cassette",
            "*provider_hosts: expected a list of hosts, got '127.0.0.1'",
        ]
    )


@pytest.mark.long
def test_the_variables_make_a_child_process_use_the_proxy(project: pytest.Pytester) -> None:
    text = """
import os, subprocess, sys

CODE = '''
import os, urllib.request
request = urllib.request.Request(
    "https://api.anthropic.com/v1/messages", b'{"model": "m", "messages": []}',
    {"content-type": "application/json"})
print(urllib.request.urlopen(request).read().decode())
'''

def test_it(wiremend, wiremend_provider):
    wiremend_provider.script([{"answer": "anthropic-messages", "stream": False}])
    done = subprocess.run([sys.executable, "-c", CODE], env={**os.environ, **wiremend.env},
                          capture_output=True, text=True)
    assert "end_turn" in done.stdout, done.stderr
    assert len(wiremend.calls) == 1
"""
    run(project, text).assert_outcomes(passed=1)


@pytest.mark.long
def test_each_test_has_its_own_calls(project: pytest.Pytester) -> None:
    text = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_it(number, wiremend, wiremend_provider, ask):
    assert wiremend.calls == []
    wiremend_provider.script([{"answer": "anthropic-messages"}])
    with ask() as response:
        response.read()
    assert len(wiremend.calls) == len(wiremend_provider.received) == 1
"""
    run(project, text).assert_outcomes(passed=2)


@pytest.mark.long
def test_a_proxy_that_ended_is_reported(project: pytest.Pytester) -> None:
    text = """
def test_it(wiremend):
    wiremend.terminate()
    wiremend.wait(10)
    wiremend.calls
"""
    result = run(project, text)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the proxy does not report its calls: *"])


def test_a_run_that_does_not_use_the_plugin_imports_nothing_for_it(
    project: pytest.Pytester,
) -> None:
    text = """
import sys

HEAVY = {"mitmproxy", "pydantic", "cryptography", "h2", "h11", "orjson", "ssl", "asyncio"}

def test_it(request):
    assert request.config.pluginmanager.hasplugin("wiremend")
    assert not HEAVY & set(sys.modules)
    ours = {name for name in sys.modules if name.split(".")[0] == "wiremend"}
    assert ours == {"wiremend", "wiremend.testing", "wiremend.testing.plugin"}
"""
    project.path.joinpath("conftest.py").unlink()
    run(project, text).assert_outcomes(passed=1)


@pytest.mark.long
def test_two_workers_of_xdist_share_nothing(project: pytest.Pytester) -> None:
    """Both tests wait until the test of the other worker has a proxy, too."""
    project.makepyfile("""
import os, socket
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_it(number, wiremend, wiremend_provider, ask):
    wiremend_provider.script([{"answer": "anthropic-messages"}] * number)
    state = (wiremend.port, wiremend_provider.port, wiremend.confdir, wiremend.directory)
    with socket.create_connection(("127.0.0.1", int(os.environ["MEETING_POINT"]))) as meeting:
        meeting.sendall("{} {} {} {}\\n".format(*state).encode())
        assert meeting.recv(2) == b"go"
    for _ in range(number):
        with ask() as response:
            response.read()
    assert len(wiremend.calls) == len(wiremend_provider.received) == number
""")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        port = str(listener.getsockname()[1])
        command = [sys.executable, "-W", "error", "-m", "pytest", "-n", "2", "-q"]
        process = subprocess.Popen(
            [*command, f"--rootdir={project.path}"],
            cwd=project.path,
            env={**os.environ, "MEETING_POINT": port},
            stdout=subprocess.PIPE,
            text=True,
        )
        workers = [listener.accept()[0] for _ in range(2)]
        states = [worker.makefile().readline().split() for worker in workers]
        for worker in workers:
            worker.sendall(b"go")
            worker.close()
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "2 passed" in output
    for one, other in zip(*states, strict=True):
        assert one != other


@pytest.mark.long
def test_a_failed_test_of_an_xdist_worker_shows_the_calls_and_the_log(
    project: pytest.Pytester,
) -> None:
    result = run(project, RETRIED + "    assert False, 'on purpose'\n", "-n", "2")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- wiremend calls and log: wiremend -*",
            "call 1: anthropic-messages, claude-opus-5, api.anthropic.com: answered",
            "*HTTP(S) proxy listening at 127.0.0.1:*",
        ]
    )


@pytest.mark.long
def test_the_proxy_ends_when_the_process_of_the_test_is_killed(project: pytest.Pytester) -> None:
    project.makepyfile("""
import os, signal, socket

def test_it(wiremend):
    meeting = socket.create_connection(("127.0.0.1", int(os.environ["MEETING_POINT"])))
    meeting.sendall(f"{wiremend.port}\\n".encode())
    meeting.recv(2)
    os.kill(os.getpid(), signal.SIGKILL)
""")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        environment = {**os.environ, "MEETING_POINT": str(listener.getsockname()[1])}
        command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={project.path}"]
        process = subprocess.Popen(
            command, cwd=project.path, env=environment, stdout=subprocess.DEVNULL
        )
        worker = listener.accept()[0]
        with worker, worker.makefile() as lines:
            port = int(lines.readline())
            with socket.create_connection(("127.0.0.1", port), 30) as client:
                worker.sendall(b"go")
                assert process.wait(30) == -signal.SIGKILL
                assert client.recv(1) == b""


@pytest.mark.long
def test_the_marker_and_the_fixtures_are_documented(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.wiremend(config, cassette, *): *"])
    result = project.runpytest_subprocess("--fixtures")
    result.stdout.fnmatch_lines(["wiremend_provider *", "wiremend *"])
