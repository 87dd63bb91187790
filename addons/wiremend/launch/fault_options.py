"""The options of commands that inject faults: `--faults`, `--faults-report`, `--plain`."""

import argparse
from pathlib import Path

from wiremend.config.fault_file import load_faults

HELP = """\
  --faults FILE  inject the faults in FILE into the answers of providers (addons/FAULTS.md)
  --faults-report FILE
                 also write the report on these faults to FILE, as JSON
  --plain        repair and retry nothing: traffic passes unchanged, apart from the faults
"""


def add_fault_options(options: argparse.ArgumentParser) -> None:
    """Add the options to the parser of a command."""
    options.add_argument("--faults", type=Path)
    options.add_argument("--faults-report", type=Path)
    options.add_argument("--plain", action="store_true")


def fault_arguments(options: argparse.Namespace) -> list[str]:
    """Return the arguments of the proxy.

    Raises ConfigError if the fault file is invalid, and ValueError if there is none to report on.
    """
    arguments: list[str] = []
    if options.faults_report is not None and options.faults is None:
        raise ValueError("--faults-report needs --faults FILE.toml")
    if options.faults is not None:
        load_faults(options.faults)
        arguments += ["--set", f"wiremend_faults={options.faults.resolve()}"]
    if options.faults_report is not None:
        arguments += ["--set", f"wiremend_faults_report={options.faults_report.resolve()}"]
    if options.plain:
        arguments += ["--set", "wiremend_off=true"]
    return arguments
