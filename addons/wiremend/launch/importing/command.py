"""`--import-config FILE`: print another proxy's configuration as a wiremend.toml."""

import os
import sys
from pathlib import Path

from wiremend.launch.importing import claude_code_router, oc_go_cc
from wiremend.launch.importing.result import Imported
from wiremend.launch.importing.source import FILE_LIMIT_BYTES, NotImportable, parse


def import_config(program: str, file: Path, output: Path | None) -> int:
    """Print the configuration that a file means, or write it to `output`. Return the exit status.

    An existing output is not replaced. Keys that were written in the file are reported on stderr by
    the names of the variables that replace them.
    """
    try:
        imported = read(file)
        text = imported.text(file.name)
        if output is None:
            print(text, end="")
        else:
            _write(output, text)
    except NotImportable as problem:
        print(f"{program}: {file}: {problem}", file=sys.stderr)
        return 1
    for place, variable in imported.moved_keys:
        print(
            f"wiremend: the key at {place} is not copied; set {variable} to it: "
            f"export {variable}=...",
            file=sys.stderr,
        )
    return 0


def read(file: Path) -> Imported:
    """Return what a configuration file of another proxy means. Raises NotImportable."""
    try:
        with open(file, "rb") as opened:
            data = opened.read(FILE_LIMIT_BYTES + 1)
    except OSError as error:
        raise NotImportable((error.strerror or "cannot be read").lower()) from None
    values = parse(data)
    if claude_code_router.is_from_it(values):
        return claude_code_router.import_it(values)
    if oc_go_cc.is_from_it(values):
        return oc_go_cc.import_it(values)
    raise NotImportable(
        "is no configuration of claude-code-router (Providers, Router) or of oc-go-cc (models)"
    )


def _write(output: Path, text: str) -> None:
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        raise NotImportable(f"{output} exists; remove it, or give another name") from None
    except OSError as error:
        raise NotImportable(
            f"{output}: {(error.strerror or 'cannot be written').lower()}"
        ) from None
    with open(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
