"""Makes `mitmdump -s addons/` load `addons/__main__.py`, as `python addons/` does.

It is installed with the project and runs at each start of the environment's Python. Programs other
than mitmproxy's are not affected. mitmproxy itself rejects directories (mitmproxy#4112).

PYTEST_DONT_REWRITE: pytest rewrites the modules of plugins, and warns about those that are already
imported.
"""

import os
import sys

_PROGRAMS = {"mitmdump", "mitmproxy", "mitmweb"}


def main() -> None:
    """Replace script directories in `sys.argv` if this process is a mitmproxy program."""
    arguments = getattr(sys, "argv", None) or [""]
    program = os.path.splitext(os.path.basename(arguments[0]))[0]
    if program in _PROGRAMS:
        sys.argv[1:] = with_entry_files(arguments[1:])


def with_entry_files(arguments: list[str]) -> list[str]:
    """Return the arguments with each directory replaced by its `__main__.py`, if it has one."""
    replaced = []
    is_script = False
    for argument in arguments:
        if is_script:
            argument = _entry_file(argument)
        elif argument.startswith("--scripts="):
            argument = "--scripts=" + _entry_file(argument[len("--scripts=") :])
        elif argument.startswith("-s") and len(argument) > 2:
            argument = "-s" + _entry_file(argument[2:])
        is_script = not is_script and argument in ("-s", "--scripts")
        replaced.append(argument)
    return replaced


def _entry_file(script: str) -> str:
    entry = os.path.join(os.path.expanduser(script), "__main__.py")
    return entry if os.path.isfile(entry) else script
