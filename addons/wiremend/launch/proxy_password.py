"""The password of a proxy: who may use it, besides the process that started it.

Without one, every user and every sandboxed process of the machine can use the port, and with it the
configured keys. The proxy reads the password from its environment or from a file that only the user
can read. It is never part of a command line, which every user of a machine can read.

A client receives it in the address of the proxy. These clients were tried with
`HTTPS_PROXY=http://wiremend:PASSWORD@127.0.0.1:PORT` in November 2026. All of them complete their
call, so there is no exception. They send it with their first CONNECT; git does after one 407:

- agents: Claude Code 2.1.197, OpenCode 1.18.33 (its providers for Anthropic, OpenAI and Chat
  Completions), Codex 0.169.0, Gemini CLI 0.61.0;
- Python 3.13: anthropic 2.11.0, openai 3.52.0, google-genai 3.4.0;
- Node.js 20 with undici 6.29.1: `fetch`, @anthropic-ai/sdk 1.14.0, openai 7.59.0, @google/genai
  3.3.0, @ai-sdk/anthropic 3.0.137;
- programs that agents start: curl, wget, git, pip, npm.

`tests/agents` and `tests/traffic/access` repeat that with most of them. For a client that cannot
send a password, there is `scripts/run --no-password`.
"""

import contextlib
import secrets
from pathlib import Path

from wiremend.launch.private_files import write_private

USER = "wiremend"
"""The user name in the address of the proxy. The proxy accepts any name."""
VARIABLE = "WIREMEND_PROXY_PASSWORD"
"""The variable of the proxy's environment that contains its password."""
_RANDOM_BYTES = 24


def new_password() -> str:
    """Return a random password. It needs no escaping in an address."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def proxy_address(port: int, password: str = "") -> str:
    """Return the address of the proxy on this port of 127.0.0.1, for HTTPS_PROXY."""
    user = f"{USER}:{password}@" if password else ""
    return f"http://{user}127.0.0.1:{port}"


def password_file(directory: Path, port: int | None = None) -> Path:
    """Return the file with the password of the proxies of this user.

    A proxy that was started for a command has its own password, and a file with its port.
    """
    return directory / (f"proxy-password-{port}" if port else "proxy-password")


def remove_password(directory: Path, port: int, password: str) -> None:
    """Remove the file with the password of a command's proxy, if it contains this password."""
    file = password_file(directory, port)
    if password and read_password(file) == password:
        with contextlib.suppress(OSError):
            file.unlink()


def password_of_user(directory: Path) -> str:
    """Return the password in the user's file; make both if there is none.

    It stays the same, so that terminals keep their access when the proxy is started again. Raises
    OSError.
    """
    file = password_file(directory)
    if password := read_password(file):
        return password
    password = new_password()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(file, password.encode())
    return password


def read_password(file: Path) -> str:
    """Return the password in a file, empty if the file is missing or cannot be read."""
    try:
        return file.read_text().strip()
    except (OSError, ValueError):
        return ""
