"""One call through a real proxy to a provider on loopback that fails at first.

It shows that the proxy starts here, that its CA is accepted, and that calls are intercepted,
retried and repaired. No other host is reached.
"""

import http.client
import ssl
import tempfile
from pathlib import Path

import orjson

from wiremend.launch.verdicts import Line, ok, problem
from wiremend.protocols.base.names import WireProtocol
from wiremend.testing import answers
from wiremend.testing.certificates import Authority
from wiremend.testing.plays import reply_from
from wiremend.testing.provider import ScriptedProvider
from wiremend.testing.proxy import Proxy, ProxyFailed

HOST = "api.anthropic.com"
LIMIT_SECONDS = 30.0
_PROTOCOL = WireProtocol.ANTHROPIC_MESSAGES


def round_trip(confdir: Path) -> Line:
    """Make the call with the CA in `confdir`, which clients are to trust."""
    with tempfile.TemporaryDirectory(prefix="wiremend-doctor-") as name:
        directory = Path(name)
        authority = Authority(directory / "authority")
        broken = answers.stream_with_blocks_from_index(1)
        try:
            with ScriptedProvider(authority.leaf(HOST), directory) as provider:
                provider.script(
                    [
                        reply_from({"connection": "reset"}),
                        reply_from({"events": list(broken.events)}),
                    ]
                )
                with Proxy(
                    directory / "proxy", authority, {HOST: provider.port}, confdir=confdir
                ) as proxy:
                    status, body = _call(proxy)
                    attempts = len(proxy.attempts)
        except ProxyFailed as failed:
            return problem(f"the proxy does not start:\n{failed}")
        except (OSError, http.client.HTTPException) as error:
            return problem(
                f"a call through the proxy failed: {error}",
                "see whether other software changes connections to 127.0.0.1",
            )
    return _judged(status, body, attempts, broken.text)


def _judged(status: int, body: bytes, attempts: int, text: str) -> Line:
    events = [line[6:] for line in body.splitlines() if line.startswith(b"data: ")]
    deltas = [orjson.loads(event) for event in events]
    received = "".join(event.get("delta", {}).get("text", "") for event in deltas)
    indices = {event["index"] for event in deltas if "index" in event}
    if status == 200 and received == text and indices == {0} and attempts == 2:
        return ok(
            "a call to a provider on loopback was intercepted, retried after a reset, and its "
            "stream repaired"
        )
    return problem(
        f"a call to a provider on loopback was not repaired: status {status}, {attempts} attempts, "
        f"{len(body)} bytes",
        "report this with the output of --doctor",
    )


def _call(proxy: Proxy) -> tuple[int, bytes]:
    context = ssl.create_default_context(cafile=str(proxy.ca_file))
    connection = http.client.HTTPSConnection(
        "127.0.0.1", proxy.port, timeout=LIMIT_SECONDS, context=context
    )
    connection.set_tunnel(HOST, 443)
    body = orjson.dumps(answers.request_body(_PROTOCOL, stream=True))
    try:
        connection.request(
            "POST",
            "/v1/messages",
            body,
            {"content-type": "application/json", "x-api-key": "none", "user-agent": "doctor"},
        )
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
