"""The CA that mitmproxy itself makes and reads, in its `confdir`."""

import contextlib
import os
from pathlib import Path
from typing import Any

from mitmproxy.certs import CertStore
from mitmproxy.master import Master
from mitmproxy.options import CONF_BASENAME

_FILES = (f"{CONF_BASENAME}-ca.pem", f"{CONF_BASENAME}-dhparam.pem")
"""What mitmproxy reads at each start."""


def authority_problem(master: Master) -> str:
    """Return why mitmproxy cannot use its CA, and what to do; empty if it can.

    If the files do not exist, they are created as mitmproxy would create them a moment later. It
    logs a traceback if that fails.
    """
    addon: Any = master.addons.get("tlsconfig")
    if addon is None or getattr(addon, "certstore", None) is not None:
        return ""
    directory = Path(master.options.confdir).expanduser()
    if all(_is_filled(directory / name) for name in _FILES):
        return ""
    try:
        _create(directory, master.options.key_size, master.options.cert_passphrase)
    except OSError as problem:
        place = problem.filename or directory / _FILES[0]
        return _sentence(directory, f"{place}: {(problem.strerror or str(problem)).lower()}")
    except ValueError:
        file = directory / _FILES[0]
        return _sentence(directory, f"{file}: not a private key with its certificate", file)
    return ""


def _sentence(directory: Path, reason: str, broken: Path | None = None) -> str:
    remove = "remove this file, so that a new CA is created, or " if broken else ""
    return (
        f"wiremend: mitmproxy cannot create or read its CA in {directory} ({reason}); {remove}"
        "choose a directory that can be written with --set confdir=DIRECTORY, or use scripts/run"
    )


def _create(directory: Path, key_bits: int, passphrase: str | None) -> None:
    """Create and read the files. A file that could not be written completely is removed."""
    missing = [directory / name for name in _FILES if not os.path.lexists(directory / name)]
    try:
        CertStore.from_store(
            directory, CONF_BASENAME, key_bits, passphrase.encode() if passphrase else None
        )
    except BaseException:
        for file in missing:
            with contextlib.suppress(OSError):
                file.unlink()
        raise


def _is_filled(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return bool(opened.read(1))
    except OSError:
        return False
