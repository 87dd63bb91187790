"""Tests of the installed wheel outside the checkout, and of the checkout's editable install.

Nothing is downloaded: the environments use the packages of the one that runs the tests.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from recorded_files import BROKEN, flow_file, http_flow
from ruamel.yaml import YAML
from traffic import clients, faults, good
from traffic.clients import complete
from traffic.proxy import Proxy
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

ROOT = Path(__file__).resolve().parents[2]
OF_A_CHECKOUT = ("addons", "scripts", "pyproject.toml", "README.md", "LICENSE")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "-qq")
OFFLINE = ("--no-deps", "--no-build-isolation", "--no-index")

MAKER = Path(__file__).with_name("offline_environment.py")


def execute(
    *command: str | Path, cwd: Path, **additions: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command without the variables that would make Python or wiremend use the checkout."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "PYTEST", "PIP_")) and not name.endswith("_PROXY")
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**inherited, "XDG_STATE_HOME": str(cwd / "state"), **additions},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


def printed_by(*command: str | Path, cwd: Path, **additions: str) -> str:
    done = execute(*command, cwd=cwd, **additions)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def packages_of(environment: Path) -> Path:
    return next(environment.glob("lib/python3*/site-packages"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    printed_by(*PIP, "wheel", *OFFLINE, "--wheel-dir", directory, ROOT, cwd=directory)
    (path,) = directory.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel installed."""
    environment = tmp_path_factory.mktemp("installed") / "environment"
    printed_by(sys.executable, MAKER, environment, cwd=environment.parent)
    pip = (*PIP, "--python", environment / "bin" / "python")
    printed_by(*pip, "install", "--no-deps", "--no-index", wheel, cwd=environment.parent)
    return environment


def test_the_wheel_contains_the_typed_library_and_every_shell(
    installed: Path, tmp_path: Path
) -> None:
    library = packages_of(installed) / "wiremend"
    code = "import wiremend; print(wiremend.__file__)"
    python = installed / "bin" / "python"
    assert printed_by(python, "-c", code, cwd=tmp_path) == str(library / "__init__.py")
    assert (library / "py.typed").is_file()
    shells = Path(printed_by(installed / "bin" / "wiremend", "addons", cwd=tmp_path))
    assert shells.is_relative_to(library)
    names = {path.name for path in shells.glob("*.py")}
    assert names == {path.name for path in (ROOT / "addons").glob("*.py")}


def test_the_wheel_adds_the_library_and_the_start_up_hook_to_site_packages(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    hook = {path.name for path in (ROOT / "scripts" / "startup").glob("mitmdump_*")}
    assert top == {"wiremend", *hook, f"wiremend-{version(wheel)}.dist-info"}


def version(wheel: Path) -> str:
    return wheel.name.split("-")[1]


@pytest.mark.first_row
@pytest.mark.parametrize("way", [("wiremend",), ("python", "-m", "wiremend")], ids=" ".join)
def test_the_wheel_and_the_command_agree_on_the_version(
    way: tuple[str, ...], installed: Path, wheel: Path, tmp_path: Path
) -> None:
    printed = printed_by(installed / "bin" / way[0], *way[1:], "--version", cwd=tmp_path)
    assert printed == f"wiremend {version(wheel)}"


def installed_proxy(
    installed: Path, directory: Path, authority: Authority, script: str, hosts: Mapping[str, int]
) -> Proxy:
    """Return the proxy of an installed wheel; `script` is a file in its addons directory, or ""."""
    addons = printed_by(installed / "bin" / "wiremend", "addons", cwd=directory)
    return Proxy(
        directory / "proxy",
        authority,
        hosts,
        configuration="[retry]\nbackoff_initial = 0.01\n",
        scripts=(os.path.join(addons, script),),
        environment={"PYTHONPATH": ""},
        program=installed / "bin" / "mitmdump",
    )


@pytest.mark.first_row
@pytest.mark.parametrize("script", ["", "__main__.py"], ids=["directory", "file"])
def test_an_installed_proxy_retries_a_failed_call(
    script: str, installed: Path, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "authority")
    with ScriptedProvider(authority.leaf(good.HOSTS[good.ANTHROPIC]), tmp_path) as provider:
        provider.script([faults.reset_before_head(), faults.none(good.ANTHROPIC)])
        proxy = installed_proxy(
            installed, tmp_path, authority, script, {good.HOSTS[good.ANTHROPIC]: provider.port}
        )
        with proxy, clients.environment(clients.behind(proxy)):
            assert complete(good.ANTHROPIC, True).text == good.TEXT
        assert len(provider.received) == 2


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the example project."""
    return Path(shutil.copytree(ROOT / "tests" / "example_project", tmp_path / "project"))


def output_of_tests(project: Path, installed: Path, *arguments: str) -> str:
    """Return what pytest prints for the project, in an environment with the wheel."""
    pytest_command = ("-m", "pytest", "-p", "no:anyio", "-p", "no:cacheprovider", *arguments)
    done = execute(installed / "bin" / "python", *pytest_command, cwd=project)
    return done.stdout + done.stderr


def test_the_example_project_passes_with_the_installed_wheel(
    installed: Path, project: Path
) -> None:
    printed = output_of_tests(project, installed)
    assert "4 passed" in printed, printed
    assert "warning" not in printed


def test_the_example_project_fails_when_the_requests_of_its_agent_change(
    installed: Path, project: Path
) -> None:
    agent = project / "agent.py"
    agent.write_text(agent.read_text().replace('"rain, 12 °C"', '"snow, -2 °C"'))
    printed = output_of_tests(project, installed, "-k", "test_recorded_calls and not fails")
    assert "1 failed" in printed, printed
    for line in (
        "request 2 is not in weather.mitm: POST api.anthropic.com/v1/messages",
        "  the nearest recorded one is call 2; it differs in:",
        "- rain, 12 °C",
        "+ snow, -2 °C",
        "not requested: call 2, POST api.anthropic.com/v1/messages",
        "to record again, on purpose: pytest --wiremend-record=rewrite 'test_agent.py::test_rec",
    ):
        assert line in printed


def workflow_commands() -> list[str]:
    """Return the commands of the workflow in the README that run in the folder of the project."""
    [block] = [
        block
        for block in re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "runs-on" in block
    ]
    [job] = YAML(typ="safe").load(block)["jobs"].values()
    return [step["run"] for step in job["steps"] if step.get("working-directory") == "agent"]


@pytest.mark.long
def test_the_workflow_of_the_readme_passes_for_the_example_project(
    installed: Path, project: Path
) -> None:
    for command in workflow_commands():
        words = command.replace("pytest ", "python -m pytest -p no:anyio ", 1).split()
        done = execute(installed / "bin" / words[0], *words[1:], cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "tests.xml").is_file()
    assert '"version": "2.1.0"' in (project / "traffic.sarif").read_text().replace('":"', '": "')


HOOKS = YAML(typ="safe").load(ROOT / ".pre-commit-hooks.yaml")
"""What pre-commit reads: it installs this repository, and runs `entry` with the names of files."""


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_the_hooks_of_pre_commit_check_recordings(
    hook: dict[str, str], installed: Path, project: Path
) -> None:
    sound = project / "cassettes" / "weather.mitm"
    broken = project / "broken.mitm"
    broken.write_bytes(flow_file(http_flow(BROKEN)))
    leaking = project / "leaking.mitm"
    flow = http_flow()
    flow.request.headers["x-api-key"] = "sk-ant-api03-" + "a" * 80
    leaking.write_bytes(flow_file(flow))
    assert all(re.search(hook["files"], str(path)) for path in (sound, broken, leaking))
    assert not re.search(hook["files"], str(project / "agent.py"))
    program, *arguments = hook["entry"].split()
    found = [
        execute(installed / "bin" / program, *arguments, path, cwd=project)
        for path in (sound, broken, leaking)
    ]
    expected = {"wiremend-check": [0, 1, 0], "wiremend-secrets": [0, 0, 1]}[hook["id"]]
    assert [done.returncode for done in found] == expected, [done.stdout for done in found]
    assert not any(done.stderr for done in found)


@pytest.mark.long
def test_an_installed_proxy_that_is_edited_keeps_its_code_and_reports_it(
    installed: Path, tmp_path: Path
) -> None:
    module = packages_of(installed) / "wiremend" / "catalogue.py"
    text = module.read_text()
    authority = Authority(tmp_path / "authority")
    try:
        with installed_proxy(installed, tmp_path, authority, "__main__.py", {}) as proxy:
            module.write_text(text + "\nprint('the edited library')\n")
            os.utime(module.parent / "_addons" / "__main__.py")
            proxy.wait_for_line("its code was changed; restart to use the new version")
        assert "the edited library" not in proxy.lines
    finally:  # other tests use the same installation
        module.write_text(text)


@pytest.mark.first_row
@pytest.mark.parametrize("way", [("wiremend",), ("python", "-m", "wiremend")], ids=" ".join)
def test_an_installed_wheel_runs_a_command_behind_the_proxy(
    way: tuple[str, ...], installed: Path, tmp_path: Path
) -> None:
    code = (
        "import os, socket, sys\n"
        "port = int(os.environ['HTTPS_PROXY'].rsplit(':', 1)[1])\n"
        "socket.create_connection(('127.0.0.1', port)).close()\n"
        "sys.exit(7)\n"
    )
    python = installed / "bin" / "python"
    done = execute(
        installed / "bin" / way[0], *way[1:], "run", "--", python, "-c", code, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (7, ""), done.stderr


@pytest.mark.first_row
@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--", "no-such-command"), 127, "wiremend run: no-such-command: command not found\n"),
        (("--demo",), 1, "wiremend run: --demo needs a checkout"),
        (("--prot",), 2, "usage: wiremend run [--port N]"),
    ],
    ids=["missing command", "demo", "wrong option"],
)
def test_an_installed_wheel_reports_usage_errors(
    arguments: tuple[str, ...], status: int, message: str, installed: Path, tmp_path: Path
) -> None:
    done = execute(installed / "bin" / "wiremend", "run", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_of_an_installed_wheel_mentions_only_what_the_wheel_contains(
    installed: Path, tmp_path: Path
) -> None:
    printed = printed_by(installed / "bin" / "wiremend", "run", "--help", cwd=tmp_path)
    assert printed.startswith("usage: wiremend run [options] ")
    assert "demo" not in printed
    assert "scripts/" not in printed


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with a .venv created by scripts/environment."""
    root = tmp_path_factory.mktemp("copy") / "checkout"
    for name in OF_A_CHECKOUT:
        copy: Callable[..., object] = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        root.mkdir(exist_ok=True)
        copy(ROOT / name, root / name)
    pin = f"pip=={importlib.metadata.version('pip')} --hash=sha256:{'0' * 64}\n"
    (root / "scripts" / "constraints.txt").write_text(pin)  # installed already
    python = root.parent / "bin" / "python3.13"
    python.parent.mkdir()
    python.write_text(
        "#!/bin/bash\n"
        f'if [ "$1 $2" = "-m venv" ]; then exec {sys.executable} {MAKER} "$3"; fi\n'
        f'exec {sys.executable} "$@"\n'
    )
    python.chmod(0o755)
    path = f"{python.parent}:/usr/bin:/bin"
    printed_by("/bin/bash", root / "scripts" / "environment", cwd=root, PATH=path, PIP_NO_INDEX="1")
    return root


@pytest.mark.long
def test_the_environment_of_a_checkout_runs_its_code(checkout: Path, tmp_path: Path) -> None:
    code = "import wiremend; print(wiremend.__file__)"
    module = checkout / "addons" / "wiremend" / "__init__.py"
    python = checkout / ".venv" / "bin" / "python"
    assert printed_by(python, "-c", code, cwd=tmp_path) == str(module)
    assert not (packages_of(checkout / ".venv") / "wiremend").exists()
    command = checkout / ".venv" / "bin" / "wiremend"
    assert printed_by(command, "addons", cwd=tmp_path) == str(checkout / "addons")
    text = module.read_text()
    module.write_text(text + '__version__ = "9.edited"\n')
    assert printed_by(command, "--version", cwd=tmp_path) == "wiremend 9.edited"
    module.write_text(text)


@pytest.mark.long
def test_scripts_import_nothing_from_the_working_directory(checkout: Path, tmp_path: Path) -> None:
    for name in ("wiremend", "orjson", "socket", "mitmproxy"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('this is {name}.py')\n")
    done = execute("/bin/bash", checkout / "scripts" / "run", "--", "true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(
    Path(sys.prefix).resolve() != ROOT / ".venv", reason="not the environment of this checkout"
)
def test_this_environment_runs_the_code_of_this_checkout(tmp_path: Path) -> None:
    code = "import wiremend; print(wiremend.__file__)"
    module = ROOT / "addons" / "wiremend" / "__init__.py"
    assert printed_by(sys.executable, "-c", code, cwd=tmp_path) == str(module)
