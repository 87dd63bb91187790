"""mitmweb as users start it, and its pages as its own JavaScript requests them."""

import json
import socket
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wiremend.launch.run import mitmproxy_program
from wiremend.testing.certificates import Authority

from .proxy import Proxy

_TOKEN = "token-of-this-test"
_LIMIT_SECONDS = 30.0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Web(Proxy):
    """`mitmweb -s addons/`; `flows` and `text` are what its page shows."""

    def __init__(
        self,
        directory: Path,
        authority: Authority,
        hosts: Mapping[str, int],
        *,
        arguments: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self._web_port = _free_port()
        settings = {
            "web_open_browser": "false",
            "web_password": _TOKEN,
            "web_port": str(self._web_port),
        }
        more = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
        program = Path(mitmproxy_program("mitmweb"))
        super().__init__(
            directory, authority, hosts, program=program, arguments=[*more, *arguments], **options
        )

    @property
    def page_url(self) -> str:
        """The address of the page, with its token."""
        return f"http://127.0.0.1:{self._web_port}/?token={_TOKEN}"

    @property
    def flows(self) -> list[dict[str, Any]]:
        """The rows of the list, the oldest first."""
        rows: list[dict[str, Any]] = self._get("/flows.json")
        return rows

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event log."""
        events: list[dict[str, Any]] = self._get("/events.json")
        return events

    @property
    def commands(self) -> dict[str, dict[str, Any]]:
        """The commands by name, with their help texts."""
        commands: dict[str, dict[str, Any]] = self._get("/commands.json")
        return commands

    @property
    def options(self) -> dict[str, dict[str, Any]]:
        """The options by name, with their help texts and values."""
        options: dict[str, dict[str, Any]] = self._get("/options.json")
        return options

    def content(self, flow: int, message: str, view: str = "auto") -> dict[str, Any]:
        """Return what a tab shows of the request or response of a flow: text and view_name."""
        name = urllib.parse.quote(view)
        address = f"/flows/{self.flows[flow]['id']}/{message}/content/{name}.json?lines=500"
        shown: dict[str, Any] = self._get(address)
        return shown

    def text(self, flow: int, message: str, view: str = "auto") -> str:
        """Return the text of a tab."""
        text: str = self.content(flow, message, view)["text"]
        return text

    def wait_for[T](self, read: Callable[[], T], condition: Callable[[T], bool]) -> T:
        """Read until the condition is met; return what was read."""
        end = time.monotonic() + _LIMIT_SECONDS
        while not condition(value := read()):
            if time.monotonic() > end:
                raise AssertionError(f"still {value!r}")
        return value

    def run_command(self, name: str, *arguments: str) -> Any:
        """Run a command, as the command bar does. Raises AssertionError with its error."""
        answer = self.post(f"/commands/{name}", {"arguments": arguments})
        assert "error" not in answer, answer["error"]
        return answer["value"]

    def post(self, path: str, body: Any = None) -> Any:
        """Send what a button of the page sends; return the JSON of the answer."""
        return self._send("POST", path, body)

    def put(self, path: str, body: Any) -> Any:
        """Change a flow or an option. Raises HTTPError with the reason if it is refused."""
        return self._send("PUT", path, body)

    def _get(self, path: str) -> Any:
        return self._send("GET", path)

    def _send(self, method: str, path: str, body: Any = None) -> Any:
        same = "a-token-of-this-test"
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._web_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {_TOKEN}",
                "Content-Type": "application/json",
                "Cookie": f"_mitmproxy_xsrf={same}",
                "X-XSRFToken": same,
            },
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=_LIMIT_SECONDS) as response:
            content = response.read()
        return json.loads(content) if content else None
