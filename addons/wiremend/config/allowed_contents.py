"""The record of configurations that the user allowed: one file for each content.

The file is named after the content's digest, and contains the digest and the path at which the
content was allowed. Files for different contents need no lock, since no two processes change the
same one. To withdraw a consent, delete its file.
"""

import contextlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import orjson

from wiremend.config.consent import Reach, content_digest, describe
from wiremend.config.load import ConfigError, Document
from wiremend.config.user_directories import state_directory

_DIRECTORY = "allowed"


class NotAllowed(ConfigError):
    """The content of a file reaches things that the user has not allowed, given as `new`."""

    def __init__(self, path: Path, new: Reach, *, is_running: bool) -> None:
        lines = describe(new)
        super().__init__(str(path), lines)
        if is_running:
            first = f"{path} was changed; its new content is not allowed. It adds"
            last = "To allow it, run in that directory: scripts/run --allow -- true"
        else:
            first = f"{path} is not allowed. It decides where calls and secrets are sent:"
            last = (
                "Read the file. To allow its present content, start once with\n"
                "  scripts/run --allow, or --set wiremend_allow=true"
            )
        self.args = ("\n".join([first, *(f"  {line}" for line in lines), last]),)


class AllowedContents:
    """The consents in the user's state directory. `environ` contains the XDG variables.

    Methods raise ConfigError, with the name of the document, if the directory cannot be used.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def record(self, document: Document) -> Path:
        """Return the path of the file that records the consent. It need not exist."""
        try:
            directory = state_directory(self._environ)
        except RuntimeError as error:
            problem = f"there is no directory for the record of its consent: {error}"
            raise ConfigError(document.path.name, [problem]) from None
        digest = content_digest(document.data, document.values, document.path.parent)
        return directory / _DIRECTORY / digest

    def contains(self, document: Document) -> bool:
        """Return whether this content was allowed. A damaged record does not count."""
        path = self.record(document)
        try:
            record = orjson.loads(path.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return False
        except OSError as error:
            raise _failed(document, path, "read", error) from None
        return isinstance(record, dict) and record.get("sha256") == path.name

    def add(self, document: Document) -> None:
        """Record that this content is allowed."""
        path = self.record(document)
        try:
            where = os.fsencode(document.path).decode(errors="replace")
            _write(path, orjson.dumps({"sha256": path.name, "path": where}))
        except OSError as error:
            raise _failed(document, path, "written", error) from None


def _failed(document: Document, record: Path, verb: str, error: OSError) -> ConfigError:
    reason = (error.strerror or "unknown reason").lower()
    problem = (
        f"the record of its consent, {record}, cannot be {verb}: {reason}; "
        "a file given by --set wiremend_config=FILE needs no consent"
    )
    return ConfigError(document.path.name, [problem])


def _write(path: Path, data: bytes) -> None:
    """Write a file atomically, readable by the user only."""
    path.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(data + b"\n")
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
