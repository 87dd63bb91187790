"""The scripts, run as a user runs them."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
import wiremend
from traffic import faults, good
from wiremend.launch.outgoing_proxy import mitmproxy_arguments, outgoing_warning
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

ROOT = Path(__file__).resolve().parents[2]
RUN = (sys.executable, "-P", "-m", "wiremend", "run")
"""What scripts/run executes after the environment is set up."""
SCRIPTS = [
    path.name for path in sorted((ROOT / "scripts").iterdir()) if path.is_file() and not path.suffix
]
_OF_THE_MACHINE = re.compile(r"(?i).*_proxy|PY(THON|TEST).*|.*_CA_(BUNDLE|CERT).*|SSL_CERT_FILE")


def environment(directory: Path, additions: Mapping[str, str]) -> dict[str, str]:
    """Return this machine's variables without those under test, with this checkout's library."""
    kept = {name: value for name, value in os.environ.items() if not _OF_THE_MACHINE.match(name)}
    path = [str(ROOT / "addons"), *filter(None, [additions.get("PYTHONPATH")])]
    users = {f"XDG_{kind.upper()}_HOME": str(directory / kind) for kind in ("config", "state")}
    return {**kept, **users, **additions, "PYTHONPATH": os.pathsep.join(path)}


def run(
    directory: Path, *arguments: str, text: str = "", **additions: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RUN, *arguments],
        cwd=directory,
        env=environment(directory, additions),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_printed_without_setting_up_the_environment(name: str, tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    shutil.copytree(ROOT / "scripts", scripts, ignore=shutil.ignore_patterns("__pycache__"))
    if name != "environment":
        (scripts / "environment").write_text("exit 9\n")
    done = subprocess.run(
        ["/bin/bash", str(scripts / name), "--help"],
        env={"PATH": "/bin:/usr/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: scripts/{name}")
    assert [path.name for path in tmp_path.iterdir()] == ["scripts"]


@pytest.fixture
def small_checkout(tmp_path: Path) -> Path:
    """A checkout with one module, and the tools of this environment."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for folder in project["tool"]["mypy"]["files"]:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text('"""A package."""\n')
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for name in ("pyproject.toml", "scripts/check-code", "scripts/fix-code"):
        shutil.copy(ROOT / name, tmp_path / name)
    environment_script = tmp_path / "scripts" / "environment"
    environment_script.write_text("#!/bin/bash\n")
    environment_script.chmod(0o755)
    return tmp_path


def script(checkout: Path, name: str, *arguments: str) -> tuple[int, str]:
    """Return exit status and output of a script in that checkout."""
    done = subprocess.run(
        [str(checkout / "scripts" / name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout


UNUSED_IMPORT = "import os\n"
BADLY_FORMATTED = "TEN  = 10\n"
WRONG_TYPE = 'ONE: int = "1"\n'


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize(
    ("code", "message"),
    [
        (UNUSED_IMPORT, "F401"),
        (BADLY_FORMATTED, "1 file would be reformatted"),
        (WRONG_TYPE, "Incompatible types in assignment"),
        ("", ""),
    ],
    ids=["lint", "format", "types", "nothing"],
)
def test_each_check_of_the_code_counts(code: str, message: str, small_checkout: Path) -> None:
    module = small_checkout / "addons" / "module.py"
    module.write_text(f'"""A module."""\n\n{code}'.rstrip() + "\n")
    before = module.read_text()
    status, output = script(small_checkout, "check-code")
    assert status == bool(code), output
    assert message in output
    assert module.read_text() == before


def test_all_checks_of_the_code_run_and_ruffs_fixes_are_applied(
    small_checkout: Path,
) -> None:
    module = small_checkout / "addons" / "module.py"
    module.write_text(f'"""A module."""\n\n{UNUSED_IMPORT}{BADLY_FORMATTED}{WRONG_TYPE}')
    status, output = script(small_checkout, "check-code")
    assert status == 1
    for message in ("F401", "1 file would be reformatted", "Incompatible types"):
        assert message in output
    assert script(small_checkout, "fix-code")[0] == 0
    assert module.read_text() == f'"""A module."""\n\nTEN = 10\n{WRONG_TYPE}'


@pytest.mark.long
def test_fix_code_fails_for_a_finding_that_ruff_cannot_fix(small_checkout: Path) -> None:
    (small_checkout / "addons" / "module.py").write_text("TEN  = 10\n")
    status, output = script(small_checkout, "fix-code")
    assert status == 1
    assert "D100" in output  # no docstring
    assert (small_checkout / "addons" / "module.py").read_text() == "TEN = 10\n"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("check-code", ("--fix",)),
        ("fix-code", ("addons",)),
        ("environment", ("--mitmproxy",)),
        ("environment", ("--mitmproxy", "12.1")),
        ("test", ("--mitmproxy", "12.3")),
        ("pin", ("--upgrade",)),
    ],
)
def test_unknown_arguments_are_refused(name: str, arguments: tuple[str, ...]) -> None:
    status, output = script(ROOT, name, *arguments)
    assert status == 2
    assert f"scripts/{name}" in output


@pytest.mark.first_row
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--prot", "1"), "unrecognized arguments: --prot 1"),
        (
            ("claude", "-p", "say hello"),
            "a command follows --: scripts/run -- claude -p 'say hello'",
        ),
        (("--port", "99999"), "expected a port from 1 to 65535, got 99999"),
        (("--port", "x"), "invalid port value: 'x'"),
        (("--",), "a command must follow --"),
    ],
)
def test_a_wrong_option_is_refused(
    arguments: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "usage: scripts/run" in done.stderr


def test_the_version(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"wiremend {wiremend.__version__}\n")


@pytest.mark.long
def test_warnings_about_the_configuration_are_printed(tmp_path: Path) -> None:
    models = "[[models]]\nmatch = '*'\n[[models]]\nmatch = 'a'\n"
    (tmp_path / "wiremend.toml").write_text(models)
    done = run(tmp_path, "--", "true")
    assert "wiremend.toml: warning: models[1] ('a') never applies" in done.stderr


def test_a_bad_configuration_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text("[retry]\nattempts = 0\n")
    done = run(tmp_path, "--", "true")
    assert done.returncode == 1
    assert "wiremend.toml: retry.attempts: expected 1 or more, got 0" in done.stderr


ROUTED = """
[intercept]
hosts = ["*.example.org"]

[providers.other]
base_url = "https://llm.example.com/v1"
api_key = "${WIREMEND_TEST_KEY}"
"""


def test_a_configuration_that_is_not_allowed_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text(ROUTED)
    done = run(tmp_path, "--", "touch", "started", WIREMEND_TEST_KEY="sk-of-the-environment")
    assert (done.returncode, done.stdout) == (1, "")
    for part in ("https://llm.example.com", "*.example.org", "WIREMEND_TEST_KEY", "--allow"):
        assert part in done.stderr
    assert "sk-of-the-environment" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["wiremend.toml"]


@pytest.mark.long
def test_a_configuration_is_allowed_once_and_its_path_is_printed_at_each_start(
    tmp_path: Path,
) -> None:
    path = tmp_path / "wiremend.toml"
    path.write_text(ROUTED)
    for options in (["--allow"], []):
        done = run(tmp_path, *options, "--", "echo", "ran", WIREMEND_TEST_KEY="sk-1")
        assert (done.returncode, done.stdout) == (0, "ran\n"), done.stderr
        assert f"wiremend: configuration from {path}\n" in done.stderr
    path.write_text(ROUTED + "#")
    assert run(tmp_path, "--", "true", WIREMEND_TEST_KEY="sk-1").returncode == 1


@pytest.mark.long
def test_a_configuration_given_by_an_option_needs_no_consent(tmp_path: Path) -> None:
    (tmp_path / "wiremend.toml").write_text(ROUTED)
    done = run(tmp_path, "--config", "wiremend.toml", "--", "true", WIREMEND_TEST_KEY="sk-1")
    assert done.returncode == 0, done.stderr


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "no-such-command-anywhere")
    assert (done.returncode, done.stdout) == (127, "")
    assert "no-such-command-anywhere: command not found" in done.stderr


def test_a_command_receives_proxy_and_trust_and_its_status_is_returned(tmp_path: Path) -> None:
    code = (
        "import os, socket, sys\n"
        "port = int(os.environ['HTTPS_PROXY'].rsplit(':', 1)[1])\n"
        "socket.create_connection(('127.0.0.1', port)).close()\n"
        "assert os.environ['https_proxy'] == os.environ['HTTPS_PROXY']\n"
        "assert os.environ['NO_PROXY'] == 'intra.net'\n"
        "print('read', sys.stdin.read())\n"
        "sys.exit(7)\n"
    )
    done = run(tmp_path, "--", sys.executable, "-c", code, text="this", NO_PROXY="intra.net")
    assert (done.returncode, done.stdout) == (7, "read this\n"), done.stderr


CALL_WITH_AN_SDK = (
    "import anthropic\n"
    "client = anthropic.Anthropic(api_key='x', max_retries=0)\n"
    "messages = [{'role': 'user', 'content': 'Say hello.'}]\n"
    "with client.messages.stream(model='m', max_tokens=9, messages=messages) as stream:\n"
    "    print(stream.get_final_text())\n"
)


@pytest.mark.long
def test_a_summary_of_the_calls_is_printed_after_the_command(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "company")
    with ScriptedProvider(authority.leaf("localhost"), tmp_path) as provider:
        repaired = good.stream_with_blocks_from_index(1).events
        provider.script([faults.reset_before_head(), faults.streamed(repaired)])
        (tmp_path / "team.toml").write_text(
            "[[models]]\nmatch = '*'\nprovider = 'local'\n"
            f"[providers.local]\nbase_url = 'https://localhost:{provider.port}'\n"
        )
        command = (sys.executable, "-c", CALL_WITH_AN_SDK)
        trust = {"SSL_CERT_FILE": str(authority.file)}
        done = run(tmp_path, "--config", "team.toml", "--", *command, **trust)
    assert (done.returncode, done.stdout) == (0, f"{good.TEXT}\n"), done.stderr
    assert (
        "wiremend: 1 call to local; 1 repaired, 1 retried; M002 in 1, R002 in 1, S105 in 1\n"
        in done.stderr
    )


@pytest.mark.long
def test_a_command_without_calls_is_reported(tmp_path: Path) -> None:
    done = run(tmp_path, "--", "true", NO_PROXY="*")
    assert done.stderr.endswith(
        "wiremend: no calls; either true made none, or it does not use HTTPS_PROXY for all "
        "hosts (NO_PROXY is '*')\n"
    )


@pytest.mark.long
def test_the_variables_of_a_running_proxy_are_printed(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        f"again = [*{RUN!r}, '--env', '--port', os.environ['HTTPS_PROXY'].rpartition(':')[2]]\n"
        "printed = subprocess.check_output(again, text=True)\n"
        "assert f'export HTTPS_PROXY={os.environ[\"HTTPS_PROXY\"]}\\n' in printed, printed\n"
        "assert 'export SSL_CERT_FILE=' in printed, printed\n"
        "assert 'export NODE_EXTRA_CA_CERTS=' in printed, printed\n"
    )
    done = run(tmp_path, "--", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


LOOK_FOR_THE_PASSWORD = """
import os, socket, sys
from pathlib import Path
user, _, address = os.environ["HTTPS_PROXY"].removeprefix("http://").partition("@")
name, _, password = user.partition(":")
assert name == "wiremend" and len(password) >= 32
for command_line in Path("/proc").glob("[0-9]*/cmdline"):
    try:
        assert password.encode() not in command_line.read_bytes(), command_line
    except (FileNotFoundError, ProcessLookupError):
        pass
files = [path for path in Path(sys.argv[1]).rglob("*") if path.is_file()]
[kept] = [path for path in files if password in path.read_text("latin-1")]
assert kept.stat().st_mode & 0o777 == 0o600, kept
with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as connection:
    connection.sendall(b"CONNECT api.anthropic.com:443 HTTP/1.1\\r\\n\\r\\n")
    print(connection.recv(12).decode())
"""


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_command_has_a_password_that_nobody_else_can_read(tmp_path: Path) -> None:
    state = str(tmp_path / "state")
    done = run(tmp_path, "--", sys.executable, "-c", LOOK_FOR_THE_PASSWORD, state)
    assert (done.returncode, done.stdout) == (0, "HTTP/1.1 407\n"), done.stderr
    names = [path.name for path in (tmp_path / "state" / "wiremend").iterdir()]
    assert not [name for name in names if "password" in name]


@pytest.mark.long
def test_a_command_can_run_without_a_password(tmp_path: Path) -> None:
    code = "import os; print(os.environ['HTTPS_PROXY'].rpartition(':')[0])"
    done = run(tmp_path, "--no-password", "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "http://127.0.0.1\n"), done.stderr


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("has_variable", [False, True], ids=["file", "variable"])
def test_the_variables_of_a_proxy_with_a_password_contain_it(
    has_variable: bool, tmp_path: Path
) -> None:
    demand = "" if has_variable else "[access]\nrequire_password = true\n"
    (tmp_path / "team.toml").write_text(demand)
    mine = {"WIREMEND_PROXY_PASSWORD": "of-the-variable"} if has_variable else {}
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = str(closed.getsockname()[1])
    process = subprocess.Popen(
        [*RUN, "--config", "team.toml", "--port", port],
        cwd=tmp_path,
        env=environment(tmp_path, {"PYTHONUNBUFFERED": "1", **mine}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            started = []
            for line in iter(process.stdout.readline, ""):
                started.append(line)
                if " listening at " in line:
                    break
            done = run(tmp_path, "--env", "--port", port, **mine)
        finally:
            process.terminate()
            process.wait(timeout=30)
    file = tmp_path / "state" / "wiremend" / "proxy-password"
    password = "of-the-variable" if has_variable else file.read_text()
    assert f"export HTTPS_PROXY=http://wiremend:{password}@127.0.0.1:{port}\n" in done.stdout
    assert password not in "".join(started)
    assert f'eval "$(scripts/run --env --port {port})"' in "".join(started)


def test_without_a_running_proxy_there_are_no_variables(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = run(tmp_path, "--env", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert f"no proxy of scripts/run listens on port {port} of 127.0.0.1" in done.stderr


@pytest.mark.long
def test_a_command_that_a_signal_ends(tmp_path: Path) -> None:
    code = f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"
    assert run(tmp_path, "--", sys.executable, "-c", code).returncode == 128 + signal.SIGKILL


ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@pytest.mark.first_row
@pytest.mark.parametrize("number", ENDING_SIGNALS, ids=lambda number: number.name)
def test_after_a_signal_during_the_start_no_proxy_remains(
    number: signal.Signals, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "alive")
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "if any(argument.endswith('/mitmdump') for argument in sys.orig_argv):\n"
        f"    alive = open({str(tmp_path / 'alive')!r}, 'w', buffering=1)\n"
        "    print('started', file=alive)\n"
        "    signal.pause()\n"
    )
    process = subprocess.Popen(
        [*RUN, "--", "true"],
        cwd=tmp_path,
        env=environment(tmp_path, {"PYTHONPATH": str(tmp_path)}),
        stderr=subprocess.PIPE,
        text=True,
    )
    with (tmp_path / "alive").open("rb", buffering=0) as alive:
        assert alive.readline() == b"started\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
        ended, _, _ = select.select([alive], [], [], 10)  # the proxy's exit closes the pipe
    assert ended
    assert process.returncode == 128 + number
    assert "Traceback" not in errors


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("options", [(), ("--web",)], ids=["mitmdump", "mitmweb"])
def test_the_proxy_ends_with_a_launcher_that_was_killed(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "alive")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if any(argument.endswith(('/mitmdump', '/mitmweb')) for argument in sys.orig_argv):\n"
        f"    alive = open({str(tmp_path / 'alive')!r}, 'w', buffering=1)\n"
    )
    code = "import sys; print('started', flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [*RUN, *options, "--", sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(tmp_path, {"PYTHONPATH": str(tmp_path)}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout, (tmp_path / "alive").open("rb", buffering=0) as alive:
        assert process.stdout.readline() == b"started\n"
        assert select.select([alive], [], [], 0) == ([], [], [])
        [password] = (tmp_path / "state" / "wiremend").glob("proxy-password-*")
        process.kill()
        process.wait(timeout=60)
        assert select.select([alive], [], [], 30)[0] == [alive]  # the proxy's exit closes the pipe
    assert not password.exists()


@pytest.mark.long
@pytest.mark.parametrize("options", [(), ("--web",)], ids=["mitmdump", "mitmweb"])
def test_two_concurrent_runs_have_separate_logs_and_ports(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    again = [*RUN, *options, "--", "true"]
    for _ in range(2):
        done = run(tmp_path, *options, "--", *again)
        assert done.returncode == 0, done.stderr
        assert "wiremend: warning: https_proxy names another wiremend, on port " in done.stderr
    logs = sorted((tmp_path / "state" / "wiremend").glob("*.log"))
    assert [log.name for log in logs] == ["proxy-2.log", "proxy.log"]
    listening = [re.findall(r"HTTP\(S\) proxy(.*) listening at", log.read_text()) for log in logs]
    assert listening == [[" (upstream mode)"], [""]]


@pytest.mark.long
def test_with_mitmweb_a_command_receives_the_proxys_port_and_the_page_is_printed(
    tmp_path: Path,
) -> None:
    code = (
        "import base64, os, socket, urllib.parse\n"
        "proxy = urllib.parse.urlsplit(os.environ['HTTPS_PROXY'])\n"
        "user = base64.b64encode(f'{proxy.username}:{proxy.password}'.encode()).decode()\n"
        "with socket.create_connection(('127.0.0.1', proxy.port)) as proxy:\n"
        "    proxy.sendall(b'CONNECT example.invalid:443 HTTP/1.1\\r\\n'\n"
        "                  b'proxy-authorization: Basic ' + user.encode() + b'\\r\\n\\r\\n')\n"
        "    print(proxy.recv(100).split(b'\\r\\n')[0].decode())\n"
    )
    done = run(tmp_path, "--web", "--", sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "HTTP/1.1 200 Connection established\n")
    assert re.search(r"mitmweb is at http://127\.0\.0\.1:\d+/\?token=", done.stderr)


PRINT_TRUST = (
    "import os\n"
    "for name in ('SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE',\n"
    "             'CODEX_CA_CERTIFICATE', 'NODE_EXTRA_CA_CERTS'):\n"
    "    own = open(os.environ['XDG_STATE_HOME'] + '/wiremend/mitmproxy-ca-cert.pem').read()\n"
    "    company = open('company/authority.pem').read()\n"
    "    trusted = open(os.environ[name]).read()\n"
    "    assert own.strip() in trusted, name\n"
    "    if company.strip() in trusted: print(name)\n"
)
EVERY_ONE = "SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE CODEX_CA_CERTIFICATE"


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize(
    ("named", "holding"),
    [
        ("", ""),
        ("SSL_CERT_FILE", EVERY_ONE),
        ("REQUESTS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"),
        ("CODEX_CA_CERTIFICATE", "CODEX_CA_CERTIFICATE"),
        ("NODE_EXTRA_CA_CERTS", "NODE_EXTRA_CA_CERTS"),
    ],
)
def test_the_users_certificates_remain_trusted(named: str, holding: str, tmp_path: Path) -> None:
    Authority(tmp_path / "company")
    additions = {named: "company/authority.pem"} if named else {}
    done = run(tmp_path, "--", sys.executable, "-c", PRINT_TRUST, **additions)
    assert (done.returncode, done.stdout.split()) == (0, holding.split()), done.stderr


@pytest.mark.long
def test_unreadable_certificates_are_reported_and_do_not_stop_the_start(
    tmp_path: Path,
) -> None:
    done = run(tmp_path, "--", "true", REQUESTS_CA_BUNDLE="gone.pem")
    assert done.returncode == 0
    assert "REQUESTS_CA_BUNDLE is not used: [Errno 2] No such file" in done.stderr


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize(("hosts", "warned"), [('"*"', True), ('"llm.example.com"', False)])
def test_a_ca_without_limits_causes_a_warning(hosts: str, warned: bool, tmp_path: Path) -> None:
    (tmp_path / "team.toml").write_text(f"[intercept]\nhosts = [{hosts}]\n")
    done = run(tmp_path, "--config", "team.toml", "--", "true")
    assert done.returncode == 0
    assert ("can sign for every host" in done.stderr) == warned


@pytest.mark.parametrize(
    ("named", "mode"),
    [
        ({"HTTPS_PROXY": "http://proxy.example.com:3128"}, "http://proxy.example.com:3128"),
        ({"https_proxy": "proxy.example.com:3128"}, "http://proxy.example.com:3128"),
        ({"HTTPS_PROXY": "http://somebody:secret@proxy/"}, "http://proxy:80"),
        ({"HTTPS_PROXY": "https://proxy"}, "https://proxy:443"),
        ({"ALL_PROXY": "http://[::1]:8080"}, "http://[::1]:8080"),
        ({"https_proxy": "http://a:1", "HTTPS_PROXY": "http://b:2"}, "http://a:1"),
    ],
)
def test_the_proxy_of_the_environment_is_used_for_outgoing_calls(
    named: dict[str, str], mode: str
) -> None:
    arguments = mitmproxy_arguments(named)
    assert arguments[arguments.index("--mode") + 1] == f"upstream:{mode}"
    assert "secret" not in str(arguments)


@pytest.mark.parametrize(
    "named", [{}, {"HTTPS_PROXY": ""}, {"HTTPS_PROXY": "http://proxy", "NO_PROXY": "*"}]
)
def test_without_a_proxy_outgoing_calls_are_direct(named: dict[str, str]) -> None:
    assert mitmproxy_arguments(named) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_an_address_that_is_its_own_is_not_used(host: str) -> None:
    named = {"HTTPS_PROXY": f"http://{host}:8080"}
    assert mitmproxy_arguments(named, 8080) == []
    assert mitmproxy_arguments(named, 8081) != []
    assert mitmproxy_arguments({"HTTPS_PROXY": "http://proxy.example.com:8080"}, 8080) != []


@pytest.mark.long
def test_a_variable_with_the_address_of_an_earlier_proxy_is_not_used(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number = free.getsockname()[1]
    process = subprocess.Popen(
        [*RUN, "--port", str(number)],
        cwd=tmp_path,
        env=environment(
            tmp_path, {"HTTPS_PROXY": f"http://127.0.0.1:{number}", "PYTHONUNBUFFERED": "1"}
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        output = next(line for line in process.stdout if "listening at" in line)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert output.split("] ", 1)[-1].startswith("HTTP(S) proxy listening at 127.0.0.1:")


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "all_proxy"])
def test_a_variable_that_names_a_port_where_nothing_listens(name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    named = {name: f"http://me:secret@127.0.0.1:{port}"}
    warning = outgoing_warning(named) or ""
    assert warning.startswith(f"{name} names port {port} of this machine, where nothing listens")
    assert "secret" not in warning
    assert outgoing_warning(named, port) is None
    assert outgoing_warning({**named, "NO_PROXY": "*"}) is None
    assert outgoing_warning({}) is None


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nno!",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"\0",
        b"",
    ],
)
def test_another_proxy_on_this_machine_is_no_wiremend(answer: bytes) -> None:
    def serve() -> None:
        for _ in range(2):
            connection, _ = other.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as other:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        port = other.getsockname()[1]
        assert outgoing_warning({"HTTPS_PROXY": f"http://127.0.0.1:{port}"}) is None
        thread.join()


@pytest.mark.first_row
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("socks5://proxy:1080", "ALL_PROXY: socks5:// is not an HTTP proxy"),
        ("http://proxy:99999", "ALL_PROXY: expected a port from 1 to 65535"),
        ("http://:3128", "ALL_PROXY: expected an address such as http://proxy.example.com:3128"),
    ],
)
def test_an_unusable_outgoing_proxy_is_refused(value: str, message: str, tmp_path: Path) -> None:
    done = run(tmp_path, "--", "true", ALL_PROXY=value)
    assert done.returncode == 1
    assert done.stderr.startswith(f"scripts/run: {message}")


@pytest.mark.long
def test_requests_of_a_command_are_sent_through_the_users_proxy(tmp_path: Path) -> None:
    received: list[bytes] = []

    def serve(company: socket.socket) -> None:
        while not received:
            connection, _ = company.accept()
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                    head += data
                if head.startswith(b"CONNECT"):  # else the start looks whether it is a wiremend
                    received.append(head)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello from the origin")

    code = (
        "import os, socket\n"
        "port = int(os.environ['HTTPS_PROXY'].rsplit(':', 1)[1])\n"
        "with socket.create_connection(('127.0.0.1', port)) as proxy:\n"
        "    proxy.sendall(b'CONNECT example.invalid:443 HTTP/1.1\\r\\n\\r\\n')\n"
        "    assert b' 200 ' in proxy.recv(100)\n"
        "    proxy.sendall(b'hello')\n"
        "    print(proxy.recv(100).decode())\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as company:
        thread = threading.Thread(target=serve, args=(company,), daemon=True)
        thread.start()
        named = f"http://somebody:p%40ss@127.0.0.1:{company.getsockname()[1]}"
        options = ("--no-password", "--", sys.executable, "-c", code)
        done = run(tmp_path, *options, HTTPS_PROXY=named)
        assert (done.returncode, done.stdout) == (0, "hello from the origin\n"), done.stderr
        thread.join()
    head = b"".join(received).lower()
    assert head.startswith(b"connect example.invalid:443 ")
    assert b"proxy-authorization: basic c29tzwjvzhk6cebzcw==" in head
