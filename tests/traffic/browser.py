"""Chromium, driven through its DevTools protocol: pages, clicks, text and pictures."""

import base64
import itertools
import json
import shutil
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from websockets.sync.client import ClientConnection, connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
LIMIT_SECONDS = 30.0
_POLL_SECONDS = 0.05
_MESSAGE_BYTES = 1 << 28
"""Pictures and texts are sent in one message each."""
_OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-proxy-server",
    "--remote-debugging-port=0",
)
_WAIT = """new Promise((done, fail) => {
  const end = Date.now() + %d;
  const look = () => {
    let value = null, reason = "";
    try { value = %s; } catch (error) { reason = ` (${error})`; }
    if (value) done(value instanceof Node || value);
    else if (Date.now() > end) fail(new Error("timed out" + reason));
    else setTimeout(look, %d);
  };
  look();
})"""


class BrowserFailed(AssertionError):
    """Chromium did not start, or the page did not become as expected."""


class Browser:
    """A headless Chromium with a new profile; use as a context manager."""

    def __init__(self, directory: Path) -> None:
        if CHROMIUM is None:
            raise BrowserFailed("no Chromium is installed")
        directory.mkdir(parents=True, exist_ok=True)
        self.faults: list[str] = []
        """The exceptions that scripts of pages did not catch."""
        self._log = directory / "chromium.log"
        self._profile = directory / "profile"
        self._numbers = itertools.count(1)
        self._stack = ExitStack()
        self._process: subprocess.Popen[bytes]
        self._socket: ClientConnection

    def __enter__(self) -> Self:
        command = [str(CHROMIUM), *_OPTIONS, f"--user-data-dir={self._profile}", "about:blank"]
        with ExitStack() as stack:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log)
            stack.callback(self._end)
            connection = connect(self._address(), max_size=_MESSAGE_BYTES, proxy=None)
            self._socket = stack.enter_context(connection)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        type: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _end(self) -> None:
        """End Chromium; its other processes end with it."""
        self._process.terminate()
        try:
            self._process.wait(LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _address(self) -> str:
        """Return the address of the protocol; Chromium writes it to a file in its profile."""
        file = self._profile / "DevToolsActivePort"
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end and self._process.poll() is None:
            lines = file.read_text().split() if file.exists() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(_POLL_SECONDS)
        raise BrowserFailed(f"Chromium did not start: {self._log.read_text()}")

    def send(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result. Raises BrowserFailed if it is an error."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(message | ({"sessionId": session} if session else {})))
        while True:
            received = json.loads(self._socket.recv(timeout=2 * LIMIT_SECONDS))
            if received.get("method") == "Runtime.exceptionThrown":
                self.faults.append(json.dumps(received["params"])[:2000])
            if received.get("id") == number:
                break
        if "error" in received:
            raise BrowserFailed(f"{method}: {received['error']}")
        result: dict[str, Any] = received["result"]
        return result

    def open(self, url: str, width: int = 1600, height: int = 1000) -> "BrowserPage":
        """Open a page in a new tab with a window of this size, in pixels."""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        return BrowserPage(self, attached["sessionId"], url, width, height)


class BrowserPage:
    """One page. Elements are named by CSS selectors; waiting ends with BrowserFailed."""

    def __init__(self, browser: Browser, session: str, url: str, width: int, height: int) -> None:
        self._browser = browser
        self._session = session
        self._send("Runtime.enable")
        self.resize(width, height)
        self._send("Page.navigate", url=url)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size, in pixels."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._send("Emulation.setDeviceMetricsOverride", **size)

    def evaluate(self, expression: str) -> Any:
        """Return the JSON value of an expression; a promise is awaited."""
        answer = self._send(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            description = answer["result"].get("description", "?").partition("\n")[0]
            raise BrowserFailed(f"{expression[:500]}: {description}")
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = LIMIT_SECONDS) -> Any:
        """Return the value of an expression as soon as it is true in JavaScript's sense."""
        limit, pause = int(seconds * 1000), int(_POLL_SECONDS * 1000)
        return self.evaluate(_WAIT % (limit, f"({expression})", pause))

    def texts(self, selector: str) -> list[str]:
        """Return the visible texts of all elements."""
        found: list[str] = self.evaluate(f"[...{_all(selector)}].map(one => one.innerText)")
        return found

    def click(self, selector: str, text: str = "") -> None:
        """Wait for an element that contains the text, and click its centre."""
        find = f"[...{_all(selector)}].find(one => one.innerText.includes({json.dumps(text)}))"
        place = self.wait(
            f"(() => {{ const one = {find}; if (!one) return null;"
            " one.scrollIntoView({block: 'nearest'}); const box = one.getBoundingClientRect();"
            " return box.width ? [box.x + box.width / 2, box.y + box.height / 2] : null; })()"
        )
        where = {"x": place[0], "y": place[1], "button": "left", "clickCount": 1}
        for kind in ("mousePressed", "mouseReleased"):
            self._send("Input.dispatchMouseEvent", type=kind, **where)

    def type(self, selector: str, text: str) -> None:
        """Replace the text of an input element."""
        self.wait(f"document.querySelector({json.dumps(selector)})")
        element = f"document.querySelector({json.dumps(selector)})"
        self.evaluate(f"{element}.focus(), {element}.select()")
        self._send("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key: a character, or a name such as `Enter`."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self._send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self._send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def picture(self, top: int = 0, bottom: int = 0) -> bytes:
        """Return what the window shows, as PNG, without so many pixels at the top and bottom."""
        width, height = self.evaluate("[innerWidth, innerHeight]")
        clip = {"x": 0, "y": top, "width": width, "height": height - top - bottom, "scale": 1}
        answer = self._send("Page.captureScreenshot", format="png", clip=clip)
        return base64.b64decode(answer["data"])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.send(method, self._session, **parameters)


def _all(selector: str) -> str:
    return f"document.querySelectorAll({json.dumps(selector)})"
