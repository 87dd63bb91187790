"""Asking a port whether a wiremend listens there."""

import base64
import contextlib
import http.client

from wiremend.engine.error_responses import DIRECT_REQUEST
from wiremend.launch.proxy_password import USER
from wiremend.routing.access import PROBE_HEADER

PROBE_SECONDS = 10.0
"""How long a proxy may take to answer, on a machine under load."""


def is_wiremend(
    number: int,
    password: str = "",
    *,
    admits: bool = False,
    host: str = "127.0.0.1",
    limit_seconds: float = PROBE_SECONDS,
) -> bool:
    """Return whether a wiremend listens on a port of this machine: it refuses direct requests.

    With `admits`, also whether it admits clients with this password, or without one. What does not
    answer within the limit is none.
    """
    connection = http.client.HTTPConnection(host, number, timeout=limit_seconds)
    sent = base64.b64encode(f"{USER}:{password}".encode()).decode()
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        headers = {"proxy-authorization": f"Basic {sent}", PROBE_HEADER: "1"}
        connection.request("GET", "/", headers=headers)
        response = connection.getresponse()
        is_one = response.status == 400 and response.read(4096).startswith(DIRECT_REQUEST.encode())
        return is_one and not (admits and response.headers["proxy-authenticate"])
    return False
