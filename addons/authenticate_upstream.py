"""Authenticates to the upstream proxy given by the environment. `wiremend run` loads it."""

import os

from mitmproxy import http
from wiremend.launch.outgoing_proxy import proxy_authorization


class AuthenticateUpstream:
    """Adds `proxy-authorization` to the CONNECT requests of mitmproxy's upstream mode."""

    name = "wiremend.authenticate_upstream"

    def http_connect_upstream(self, flow: http.HTTPFlow) -> None:
        """Add user name and password from the proxy's address, if it contains them."""
        if authorization := proxy_authorization(os.environ):
            flow.request.headers["proxy-authorization"] = authorization


addons = [AuthenticateUpstream()]
