"""What wiremend needs of the Python environment that runs it. This module imports none of it."""

import sys
from importlib import import_module

PACKAGES = ("mitmproxy", "pydantic", "orjson")
TESTED_VERSIONS = ("12.2", "12.3")
"""Versions of mitmproxy, as MAJOR.MINOR. The seam's tests run with each of them."""
OLDEST_PYTHON = (3, 12)


def problem_with_environment() -> str:
    """Return what is wrong, and what to do, in one sentence; empty if nothing is."""
    if sys.version_info[:2] < OLDEST_PYTHON:
        needed = ".".join(map(str, OLDEST_PYTHON))
        return f"wiremend needs Python {needed} or newer, but this is {sys.version.split()[0]}."
    for package in PACKAGES:
        try:
            import_module(package)
        except ModuleNotFoundError as missing:
            return missing_package(missing)
    return problem_with_version(str(import_module("mitmproxy.version").VERSION))


def missing_package(missing: ModuleNotFoundError) -> str:
    """Return a sentence about a package that is not installed."""
    name = (missing.name or "").partition(".")[0]
    return (
        f"wiremend needs the package {name}, which is not installed for {sys.executable}: run "
        f'"{sys.executable}" -m pip install {name}, or use scripts/run, which installs everything.'
    )


def problem_with_version(version: str) -> str:
    """Return what is wrong with a version of mitmproxy; empty if nothing is."""
    if ".".join(version.split(".")[:2]) in TESTED_VERSIONS:
        return ""
    return (
        f"wiremend works with mitmproxy {' and '.join(TESTED_VERSIONS)}, "
        f"but this is mitmproxy {version}: "
        f'run pip install "mitmproxy=={TESTED_VERSIONS[-1]}.*"'
    )
