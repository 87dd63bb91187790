"""Other gateways: LiteLLM's proxy and claude-code-router, installed into folders of their own."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contenders import Contender, Running, Setting
from benchmarks.load import Route
from benchmarks.messages import CHAT_PATH, MODEL, PATH
from benchmarks.native import cache_directory
from benchmarks.processes import BenchError, Server, free_port

LITELLM_VERSION = "1.106.12"
ROUTER_VERSION = "2.0.0"
_START_LIMIT_SECONDS = 120.0
_JOB = (
    f"a gateway for `{PATH}` that the client reaches over plain HTTP; it writes the request's JSON "
    "again and passes the bytes of the response"
)
"""What both do when they are configured for a provider of the same protocol."""
_TRANSLATION = (
    f"a gateway for `{PATH}` that the client reaches over plain HTTP; it translates for a provider "
    "that speaks Chat Completions"
)


@dataclass(frozen=True)
class Peer:
    """A gateway that can be installed."""

    name: str
    folder: Path
    program: Path
    """What exists once it is installed."""
    install: Callable[[Path], None]
    contender: Contender


def all_peers() -> dict[str, Peer]:
    """Return the peers by the names that the command line accepts."""
    return {
        "litellm": _litellm(),
        "ccr": _router(),
        "litellm-chat": _litellm(translates=True),
        "ccr-chat": _router(translates=True),
    }


def install(peer: Peer) -> None:
    """Install a peer, unless it is installed. Raises BenchError if that fails."""
    if peer.program.exists():
        print(f"{peer.name} is installed in {peer.folder}", file=sys.stderr)
        return
    print(f"installing {peer.name} into {peer.folder} ...", file=sys.stderr, flush=True)
    shutil.rmtree(peer.folder, ignore_errors=True)
    peer.folder.mkdir(parents=True)
    try:
        peer.install(peer.folder)
    except BaseException:
        shutil.rmtree(peer.folder, ignore_errors=True)
        raise


def installed_contender(peer: Peer) -> Contender:
    """Return the contender. Raises BenchError if it is not installed."""
    if not peer.program.exists():
        raise BenchError(f"{peer.name} is not installed; run scripts/bench --install-peers")
    return peer.contender


def _litellm(*, translates: bool = False) -> Peer:
    folder = cache_directory() / f"litellm-{LITELLM_VERSION}"
    program = folder / "bin" / "litellm"

    def install_into(folder: Path) -> None:
        _run([sys.executable, "-m", "venv", str(folder)])
        package = f"litellm[proxy]=={LITELLM_VERSION}"
        pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", package])

    @contextlib.contextmanager
    def start(setting: Setting) -> Iterator[Running]:
        port = free_port()
        key = f"sk-{secrets.token_hex(32)}"  # LiteLLM does not start without one
        base = f"{setting.scheme}://localhost:{setting.upstream_port}"
        model = {
            "model": f"openai/{MODEL}" if translates else f"anthropic/{MODEL}",
            "api_base": f"{base}/v1" if translates else base,
            "api_key": "sk-ant-bench",
        }
        configuration = setting.directory / "config.yaml"  # JSON is YAML
        configuration.write_text(
            json.dumps({"model_list": [{"model_name": MODEL, "litellm_params": model}]})
        )
        command = [str(program), "--config", str(configuration), "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1"]
        environment = {
            "HOME": str(setting.directory),
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
            "LITELLM_MASTER_KEY": key,
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise it is loaded from the network
            "SSL_CERT_FILE": str(setting.authority_file),
        }
        if translates:  # otherwise it calls the Responses endpoint of such a provider
            environment["LITELLM_USE_CHAT_COMPLETIONS_URL_FOR_ANTHROPIC_MESSAGES"] = "true"
            # Otherwise it ends a stream in which 100 deltas in a row are the same.
            environment["REPEATED_STREAMING_CHUNK_LIMIT"] = "1000000"
        route = Route(port, headers={"x-api-key": key})
        yield from _serve(command, setting, environment, route)

    job = _TRANSLATION if translates else _JOB
    role = f"LiteLLM proxy {LITELLM_VERSION}, one worker, with a key: {job}"
    return Peer(
        f"LiteLLM {LITELLM_VERSION}",
        folder,
        program,
        install_into,
        Contender("litellm-chat" if translates else "litellm", role, start),
    )


def _router(*, translates: bool = False) -> Peer:
    folder = cache_directory() / f"claude-code-router-{ROUTER_VERSION}"
    program = folder / "node_modules" / "@musistudio" / "claude-code-router" / "dist" / "cli.js"

    def install_into(folder: Path) -> None:
        package = f"@musistudio/claude-code-router@{ROUTER_VERSION}"
        npm = _tool("npm", "nodejs and npm")
        _run([npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", package])

    @contextlib.contextmanager
    def start(setting: Setting) -> Iterator[Running]:
        port = free_port()
        home = setting.directory / "home"
        configuration = home / ".claude-code-router" / "config.json"
        configuration.parent.mkdir(parents=True, exist_ok=True)
        provider = {
            "name": "bench",
            "api_base_url": f"{setting.scheme}://localhost:{setting.upstream_port}"
            f"{CHAT_PATH if translates else PATH}",
            "api_key": "sk-ant-bench",
            "models": [MODEL],
            "transformer": {"use": [] if translates else ["Anthropic"]},
        }
        configuration.write_text(
            json.dumps(
                {
                    "PORT": port,
                    "HOST": "127.0.0.1",
                    "NON_INTERACTIVE_MODE": True,
                    "Providers": [provider],
                    "Router": {"default": f"bench,{MODEL}"},
                }
            )
        )
        environment = {"HOME": str(home), "NODE_EXTRA_CA_CERTS": str(setting.authority_file)}
        command = [_tool("node", "nodejs"), str(program), "start"]
        yield from _serve(command, setting, environment, Route(port))

    role = f"claude-code-router {ROUTER_VERSION}: {_TRANSLATION if translates else _JOB}"
    return Peer(
        f"claude-code-router {ROUTER_VERSION}",
        folder,
        program,
        install_into,
        Contender("ccr-chat" if translates else "ccr", role, start),
    )


def _serve(
    command: Sequence[str], setting: Setting, environment: dict[str, str], route: Route
) -> Iterator[Running]:
    with Server(command, setting.directory / "log", setting.directory, environment) as server:
        server.wait_for_port(route.port, _START_LIMIT_SECONDS)
        yield Running(route, server.pid)


def _tool(name: str, packages: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise BenchError(f"There is no {name}; on Debian: apt-get install {packages}")
    return path


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, stdout=sys.stderr)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed with status {done.returncode}")
