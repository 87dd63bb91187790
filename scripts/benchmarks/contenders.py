"""What is measured side by side, and how each of them is started."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from wiremend.testing import inside_proxy

from benchmarks.load import Route
from benchmarks.messages import HOST
from benchmarks.processes import Server

REPOSITORY = Path(__file__).resolve().parents[2]
FLOOR, WIREMEND, DIRECT, AGAIN, VARIANT = "floor", "wiremend", "direct", "floor again", "variant"
TRANSLATING = "translating"
_STREAM_RESPONSES = Path(__file__).with_name("stream_responses.py")
_ANSWER_FROM_LOOPBACK = Path(inside_proxy.__file__).with_name("answer_from_loopback.py")
_START_LIMIT_SECONDS = 30.0
_LISTENING = r"listening at (?:https?://)?\S*?:(\d+)"


@dataclass(frozen=True)
class Setting:
    """What a contender needs to know when it starts."""

    scheme: str
    """`http` or `https`: how the client reaches a proxy, and a proxy the provider."""
    upstream_port: int
    authority_file: Path
    directory: Path
    """A folder of its own."""


@dataclass(frozen=True)
class Running:
    """A contender that can be called; `pid` is None for `direct`."""

    route: Route
    pid: int | None


@dataclass(frozen=True)
class Contender:
    """A row of the comparison; `role` says what it does with the calls."""

    name: str
    role: str
    start: Callable[[Setting], AbstractContextManager[Running]]


def direct() -> Contender:
    """Return the provider itself, without a proxy."""

    @contextlib.contextmanager
    def start(setting: Setting) -> Iterator[Running]:
        tls = HOST if setting.scheme == "https" else ""
        yield Running(Route(setting.upstream_port, tls=tls), None)

    return Contender(DIRECT, "no proxy", start)


def wiremend() -> Contender:
    """Return this checkout, as `mitmdump -s addons/`."""
    return _mitmdump(WIREMEND, "`mitmdump -s addons/`", [str(REPOSITORY / "addons") + "/"])


def translating() -> Contender:
    """Return this checkout with a route to a provider that speaks Chat Completions."""
    role = "`mitmdump -s addons/` with a route to a provider that speaks Chat Completions"
    return _mitmdump(
        TRANSLATING, role, [str(REPOSITORY / "addons") + "/"], configuration=_TRANSLATING
    )


_TRANSLATING = """
[[models]]
match = "*"
provider = "chat"
[providers.chat]
base_url = "{scheme}://{host}"
protocol = "chat"
api_key = "sk-bench"
"""


def floor(name: str = FLOOR) -> Contender:
    """Return mitmdump with a script that only streams responses."""
    return _mitmdump(name, "mitmdump with a script that only streams", [str(_STREAM_RESPONSES)])


def floor_with_script(script: Path) -> Contender:
    """Return the floor with one more script."""
    scripts = [str(_STREAM_RESPONSES), str(script.resolve())]
    return _mitmdump(VARIANT, f"the floor with `-s {script.name}`", scripts)


def floor_with_program(command: Sequence[str]) -> Contender:
    """Return the floor, run by a Python program that takes mitmdump's arguments after its own."""
    program, *arguments = command
    full = [sys.executable, str(Path(program).resolve()), *arguments]
    role = f"the floor, run by `{' '.join([Path(program).name, *arguments])}`"
    return _mitmdump(VARIANT, role, [str(_STREAM_RESPONSES)], full)


def _mitmdump(
    name: str,
    role: str,
    scripts: Sequence[str],
    program: Sequence[str] = (),
    configuration: str = "",
) -> Contender:
    @contextlib.contextmanager
    def start(setting: Setting) -> Iterator[Running]:
        directory = setting.directory
        command = [*(program or [str(Path(sys.executable).with_name("mitmdump"))])]
        command += ["--listen-host", "127.0.0.1", "--listen-port", "0"]
        for script in [*scripts, str(_ANSWER_FROM_LOOPBACK)]:
            command += ["-s", script]
        command += ["--set", f"confdir={directory.parent / 'confdir'}"]
        command += ["--set", f"ssl_verify_upstream_trusted_ca={setting.authority_file}"]
        if configuration:
            file = directory / "wiremend.toml"
            file.write_text(configuration.format(scheme=setting.scheme, host=HOST))
            file.chmod(0o600)
            command += ["--set", f"wiremend_config={file}"]
        environment = {
            "XDG_CONFIG_HOME": str(directory / "config"),
            "XDG_STATE_HOME": str(directory / "state"),
            "WIREMEND_TESTING_HOSTS": json.dumps({HOST: setting.upstream_port}),
            "WIREMEND_TESTING_ALPN": json.dumps(["http/1.1"]),
        }
        with Server(command, directory / "log", directory, environment) as server:
            port = int(server.wait_for_line(_LISTENING, _START_LIMIT_SECONDS)[1])
            yield Running(_proxy_route(setting.scheme, port), server.pid)

    return Contender(name, role, start)


def _proxy_route(scheme: str, port: int) -> Route:
    if scheme == "https":
        return Route(port, connect=f"{HOST}:443", tls=HOST)
    return Route(port, target=f"http://{HOST}")
