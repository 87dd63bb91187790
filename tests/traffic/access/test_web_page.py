"""Tests that a page in a real Chromium cannot use a configured key in any way.

Skipped without Chromium, and run by `scripts/test --all`; `test_access.py` sends the same headers.
"""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from wiremend.testing.provider import ScriptedProvider

from traffic import faults, good
from traffic.conftest import ORIGIN_HOST, QUICK_RETRIES, SHARED
from traffic.proxy import Proxy

pytestmark = pytest.mark.chromium

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
LIMIT_SECONDS = 120.0
OTHER_KEY = "sk-test-DO-NOT-LOG-page"
BODY = json.dumps({**good.request_body(good.ANTHROPIC, False), "model": "routed"})
PAGE = """<!doctype html><title>page</title>
<iframe name="frame"></iframe>
<form id="form" method="post" enctype="text/plain" target="frame"><input name="x"></form>
<iframe id="sandbox" sandbox="allow-scripts"></iframe>
<script type="module">
const [url, body] = %s;
const outcomes = {};
async function attempt(name, options) {
  try {
    const response = await fetch(url, { method: "POST", body, ...options });
    outcomes[name] = response.type === "opaque" ? "opaque" : response.status;
  } catch {
    outcomes[name] = "failed";
  }
}
// A Blob without a type has no content type, so this needs no preflight.
await attempt("simple", { mode: "no-cors", body: new Blob([body]) });
await attempt("readable", { body: new Blob([body]) });
await attempt("preflighted", { headers: { "content-type": "application/json" } });
outcomes.beacon = navigator.sendBeacon(url, new Blob([body]));
await new Promise((done) => {
  frames.frame.frameElement.onload = done;
  form.action = url;
  form.submit();
});
await new Promise((done) => {
  addEventListener("message", done, { once: true });
  const script = "fetch(url, { method: 'POST', mode: 'no-cors', body: new Blob([body]) })";
  const variables = `const [url, body] = ${JSON.stringify([url, body])};`;
  const end = "<" + "/script>";
  sandbox.srcdoc = `<script>${variables}
    ${script}.finally(() => parent.postMessage("done", "*"))${end}`;
});
await fetch("/outcomes", { method: "POST", body: JSON.stringify(outcomes) });
</script>
"""


class Site:
    """A web site on loopback with one page; the page reports to `outcomes`."""

    def __init__(self, host: str, url: str) -> None:
        self.outcomes: dict[str, Any] = {}
        self.reported = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer((PAGE % json.dumps([url, BODY])).encode())

            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                site.outcomes = json.loads(data)
                self.answer(b"")
                site.reported.set()

            def answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> "Site":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return a function that opens a site in Chromium and waits for the report of its page."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")

    def open_page(site: Site, *options: str) -> dict[str, Any]:
        assert CHROMIUM is not None
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-background-networking", "--disable-component-update"]
        command += ["--remote-debugging-port=0"]  # keeps the browser open until it is terminated
        command += [f"--user-data-dir={tmp_path / 'profile'}"]
        log = (tmp_path / "chromium.log").open("wb")
        with (
            log,
            subprocess.Popen([*command, *options, site.url], stdout=log, stderr=log) as browser,
        ):
            try:
                assert site.reported.wait(LIMIT_SECONDS), (tmp_path / "chromium.log").read_text()
            finally:
                browser.terminate()
        return site.outcomes

    return open_page


def configuration(*origins: str) -> str:
    return f"""{QUICK_RETRIES}
[access]
origins = {json.dumps(origins)}

[[models]]
match = "routed"
provider = "other"

[providers.other]
base_url = "https://{ORIGIN_HOST}"
api_key = "{OTHER_KEY}"
"""


def url_of(proxy: Proxy) -> str:
    return f"{proxy.url}/v1/messages"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("way", ["to a forward proxy", "to a reverse proxy", "through the proxy"])
def test_a_page_uses_no_configured_key(
    start_proxy: Callable[..., Proxy],
    provider: ScriptedProvider,
    origin: ScriptedProvider,
    browse: Callable[..., dict[str, Any]],
    way: str,
    host: str,
) -> None:
    mode = "reverse:https://api.anthropic.com" if way == "to a reverse proxy" else "regular"
    arguments = ("--mode", mode)
    proxy = start_proxy(scripts=SHARED, configuration=configuration(), arguments=arguments)
    start = len(proxy.lines)
    url, options = url_of(proxy), []
    if way == "through the proxy":  # the browser uses the proxy; the page on loopback bypasses it
        url = "https://api.anthropic.com/v1/messages"
        options = [f"--proxy-server={proxy.url}", "--ignore-certificate-errors"]
    with Site(host, url) as site:
        outcomes = browse(site, *options)
    assert outcomes == {
        "simple": "opaque",
        "readable": "failed",
        "preflighted": "failed",
        "beacon": True,
    }
    assert origin.received == []
    assert OTHER_KEY not in repr([received.headers for received in provider.received])
    # A form with text/plain is not a model call, and the preflighted call is not sent.
    for _ in range(5 if way == "to a forward proxy" else 4):
        line = proxy.wait_for_line("refused 'POST", start=start).string
        start = proxy.lines.index(line, start) + 1


def test_an_allowed_page_uses_the_configured_key(
    start_proxy: Callable[..., Proxy],
    origin: ScriptedProvider,
    browse: Callable[..., dict[str, Any]],
) -> None:
    """Proves that the requests above reach the proxy and that only `origins` decides."""
    mode = ("--mode", "reverse:https://api.anthropic.com")
    proxy = start_proxy(scripts=SHARED, configuration=configuration(), arguments=mode)
    origin.script([faults.none(good.ANTHROPIC, stream=False)])
    start = len(proxy.lines)
    with Site("127.0.0.1", url_of(proxy)) as site:
        proxy.configuration_file.write_text(configuration(site.url))
        proxy.wait_for_line("reloaded", start=start)
        browse(site)
    assert origin.received
    for received in origin.received:
        assert received.header("origin") == site.url
        assert received.header("x-api-key") == OTHER_KEY
