"""Decrypts the TLS of providers only; refuses WebSockets on model paths."""

from load_configuration import Shell, suite_of
from mitmproxy import http, tls
from mitmproxy.proxy import layer, layers
from mitmproxy.proxy.layers import http as http_layers
from mitmproxy.proxy.mode_specs import ReverseMode
from wiremend.protocols.registry import is_websocket_upgrade
from wiremend.targets.hosts import NAME_OF_ADDRESSES


class InterceptProviders(Shell):
    """Tunnels connections to all other hosts byte for byte."""

    name = "wiremend.intercept_providers"

    def tls_clienthello(self, data: tls.ClientHelloData) -> None:
        """Do not decrypt the TLS of other hosts."""
        if isinstance(data.context.client.proxy_mode, ReverseMode):
            return
        address = data.context.server.address
        names = [name for name in (data.client_hello.sni, address and address[0]) if name]
        if not any(self.current.intercepted.matches(name) for name in names):
            data.ignore_connection = True
        elif not data.client_hello.sni:
            data.context.client.sni = NAME_OF_ADDRESSES

    def next_layer(self, data: layer.NextLayer) -> None:
        """Tunnel everything inside a CONNECT to another host, whatever its protocol."""
        context = data.context
        if data.layer or not isinstance(context.layers[-1], http_layers.HttpStream):
            return
        if not context.server.address or data.data_client()[:1] == b"\x16":
            return  # TLS: decided by its client hello
        if not self.current.intercepted.matches(context.server.address[0]):
            data.layer = layers.TCPLayer(context, ignore=True)

    def request(self, flow: http.HTTPFlow) -> None:
        """Answer a WebSocket upgrade with 426: Codex then falls back to HTTP at once."""
        if flow.response or flow.error or self.current.is_off:
            return
        if self.current.config.intercept.websocket == "pass":
            return
        if self.current.settings.reports_only:
            return
        request = flow.request
        if request.method.upper() != "GET":
            return
        if is_websocket_upgrade(request.method, request.path, dict(request.headers)):
            flow.response = http.Response.make(426, b"", {"upgrade": "HTTP/1.1"})


addons = suite_of(InterceptProviders)
