"""The options of mitmproxy that `run` passes on.

`run` chooses some of mitmproxy's options itself. Another value would separate the CA, the port or
the configuration of the proxy from what clients are given, so it is refused.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

HELP = """\
  --set NAME=VALUE, -w FILE, -s SCRIPT, -v, --mode MODE, --listen-host HOST, --web-port N
                 options of mitmproxy, which are passed on; a MODE such as
                 reverse:https://api.anthropic.com@8081 is added. Only you can read FILE
"""
_CHOSEN = {
    "confdir": "to choose the directory of the CA, set XDG_STATE_HOME",
    "listen_port": "to choose the port, use --port N",
    "mode": "to add a mode, use --mode MODE",
    "server": "to read a file without a proxy, use mitmdump",
    "termlog_verbosity": "the log shows when the proxy listens; -v adds to it",
    "wiremend_allow": "to allow ./wiremend.toml, use --allow",
    "wiremend_config": "to choose the configuration, use --config FILE",
}
"""The options that `run` sets, or that it needs, and what to use instead."""
_OWN_MODES = ("regular", "upstream")


def add_mitmproxy_options(options: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a command."""
    options.add_argument("--set", action="append", default=[], dest="settings")
    options.add_argument("-w", "--save-stream-file")
    options.add_argument("-s", "--scripts", action="append", default=[])
    options.add_argument("-v", "--verbose", action="store_true")
    options.add_argument("-m", "--mode", action="append", default=[])
    options.add_argument("--listen-host")
    options.add_argument("--web-port")


def mitmproxy_options(options: argparse.Namespace, *, has_password: bool) -> list[str]:
    """Return the arguments of mitmproxy. Raises ValueError for one that would not work.

    `has_password`: whether clients of the proxy have to send one.
    """
    for setting in options.settings:
        name = setting.partition("=")[0]
        if name in _CHOSEN:
            raise ValueError(f"--set {name} is not possible here: {_CHOSEN[name]}")
    for mode in options.mode:
        if mode.partition(":")[0].partition("@")[0] in _OWN_MODES:
            raise ValueError(
                f"--mode {mode} is not possible here: --port N chooses the port, and HTTPS_PROXY "
                "names the proxy to connect through"
            )
    if options.mode and has_password:
        raise ValueError(
            f"--mode {options.mode[0]} needs --no-password: its clients cannot send a password"
        )
    if options.web_port and not options.web:
        raise ValueError("--web-port needs --web")
    pairs = [
        *(("--set", setting) for setting in options.settings),
        *(("-s", script) for script in options.scripts),
        *(("--mode", mode) for mode in options.mode),
        ("-w", options.save_stream_file),
        ("--listen-host", options.listen_host),
        ("--web-port", options.web_port),
    ]
    arguments = [word for name, value in pairs if value for word in (name, value)]
    return [*arguments, *(["-v"] if options.verbose else [])]


def merged(own: Sequence[str], passed: Sequence[str]) -> list[str]:
    """Return the arguments of `run` and of the user, which take precedence.

    mitmproxy refuses a second value of an option, and a mode replaces the regular proxy.
    """
    named = {value.partition("=")[0] for name, value in pairwise(passed) if name == "--set"}
    kept: list[str] = []
    is_left_out = False
    for name, value in pairwise([*own, ""]):
        if is_left_out:
            is_left_out = False
        elif name == "--set" and value.partition("=")[0] in named:
            is_left_out = True
        else:
            kept.append(name)
    mode = ["--mode", "regular"] if "--mode" in passed and "--mode" not in own else []
    return [*kept, *mode, *passed]
