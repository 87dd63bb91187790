"""The command line: `wiremend COMMAND`, or `python -m wiremend COMMAND`."""

import difflib
import importlib
import sys
from dataclasses import dataclass

import wiremend
from wiremend.launch.shells import checkout_file


@dataclass(frozen=True)
class Command:
    """One command of the table."""

    name: str
    help: str
    module: str
    """Its `main(program, arguments)` runs the command and returns the exit status. The module is
    imported when the command is run, so that each command loads only what it uses."""

    @property
    def program(self) -> str:
        """How the user types it: in a checkout the script of this name, if there is one."""
        script = f"scripts/{self.name}"
        return script if checkout_file(script) else f"wiremend {self.name}"

    def run(self, arguments: list[str]) -> int:
        """Run the command. Returns the exit status."""
        importlib.import_module("wiremend.environment_check")
        status: int = importlib.import_module(self.module).main(self.program, arguments)
        return status


COMMANDS = (
    Command("run", "start the proxy, or run one command behind it", "wiremend.launch.run"),
    Command("record", "run one command and record its calls", "wiremend.launch.record"),
    Command("replay", "run one command offline, from a recording", "wiremend.launch.replay"),
    Command("check", "report faults in recorded traffic", "wiremend.check.command"),
    Command("addons", "print the directory for mitmdump -s", "wiremend.launch.shells"),
)


def main(arguments: list[str] | None = None) -> int:
    """Run a command line, by default that of this process. Returns the exit status."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name in ("-h", "--help"):
        print(help_text())
        return 0
    if name == "--version":
        print(f"wiremend {wiremend.__version__}")
        return 0
    command = next((command for command in COMMANDS if command.name == name), None)
    if command is None:
        print(f"wiremend: {_problem_with(name)}\n\n{help_text()}", file=sys.stderr)
        return 2
    return command.run(rest)


def help_text() -> str:
    """The answer to --help: the table of commands."""
    lines = [f"  {command.name:<8} {command.help}" for command in COMMANDS]
    return "\n".join(
        [
            "usage: wiremend COMMAND ...",
            "       wiremend COMMAND --help",
            "       wiremend --version",
            "",
            "commands:",
            *lines,
        ]
    )


def _problem_with(name: str) -> str:
    if not name:
        return "a command is required"
    if name.startswith("-"):
        return f"unknown option {name!r}"
    near = difflib.get_close_matches(name, [command.name for command in COMMANDS], 1)
    return f"unknown command {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")


if __name__ == "__main__":
    sys.exit(main())
