"""Admits clients with the proxy's password, and requests whose `Host` agrees with their target."""

import logging
import os
from collections.abc import Callable
from functools import partial
from weakref import WeakSet

from load_configuration import Shell, Suite, suite_of
from mitmproxy import connection, ctx, http
from mitmproxy.proxy.mode_specs import ProxyMode, RegularMode, UpstreamMode
from wiremend.config.user_directories import state_directory
from wiremend.engine.actions import Respond
from wiremend.engine.error_responses import CHALLENGE, misdirected_response, password_response
from wiremend.launch.proxy_password import VARIABLE, password_file, password_of_user
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.registry import recognise
from wiremend.routing.access import has_password, host_refusal
from wiremend.seam.flow_record import record_refusal
from wiremend.seam.flows import answer, is_direct
from wiremend.views.flow_findings import report_refusal

_HEADER = "proxy-authorization"
_NO_PASSWORD = "It came without the proxy's password."

logger = logging.getLogger("wiremend")


class AdmitClients(Shell):
    """Answers 407 to a request without the password, if one is demanded."""

    name = "wiremend.admit_clients"
    refuses_after_fault = frozenset({"http_connect", "requestheaders"})

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.admitted: WeakSet[connection.Client] = WeakSet()
        """The connections with a tunnel that was opened with the password."""
        self.password = os.environ.get(VARIABLE, "")
        self.is_password_given = VARIABLE in os.environ
        self.is_unavailable = False
        """Whether the password could not be read: then it refuses all clients."""

    def running(self) -> None:
        """Log an error, which stops the start, if the password cannot be demanded."""
        if not self._demands_password():
            return
        modes = [mode for mode in ctx.options.mode if not _may_authenticate(ProxyMode.parse(mode))]
        if modes:
            logger.error(
                "wiremend: clients can send a password in regular and upstream mode, but not in "
                "the mode %s; remove `[access] require_password`",
                ", ".join(modes),
            )
        elif not self.is_password_given:
            file = password_file(state_directory(os.environ))
            logger.info("wiremend: clients need the password in %s", file)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """Open a tunnel only with the password."""
        if not self._demands_password():
            return
        if self._takes_password(flow.request):
            self.admitted.add(flow.client_conn)
        else:
            answer(flow, password_response(None))

    def requestheaders(self, flow: http.HTTPFlow) -> None:
        """Refuse a request without the password, or to another host than it names."""
        request = flow.request
        if flow.error or flow.is_replay or not _may_authenticate(flow.client_conn.proxy_mode):
            return
        is_admitted = (
            not self._demands_password()
            or flow.client_conn in self.admitted
            or self._takes_password(request)
        )
        if flow.response is not None:
            if is_direct(request) and not is_admitted:  # `run --env` looks for this header
                flow.response.headers["proxy-authenticate"] = CHALLENGE
            return
        if not is_admitted:
            self._refuse(flow, password_response, _NO_PASSWORD)
            return
        host = request.host_header
        if host != request.host and self.current.intercepted.matches(request.host):
            reason = host_refusal(request.host, flow.client_conn.sni, host)
            if reason is not None:
                self._refuse(flow, partial(misdirected_response, reason=reason), reason)

    def _demands_password(self) -> bool:
        """Return whether a password is demanded now; read it when it is first needed."""
        is_everywhere = self.current.config.access.require_password
        if is_everywhere and not self.password:
            try:
                self.password = password_of_user(state_directory(os.environ))
            except (OSError, RuntimeError) as problem:
                if not self.is_unavailable:
                    logger.error("wiremend: there is no password for the proxy: %s", problem)
                self.is_unavailable = True
        return is_everywhere or self.is_password_given

    def _takes_password(self, request: http.Request) -> bool:
        """Return whether a request contains the password, which is then removed from it."""
        sent = request.headers.get(_HEADER, "")
        if not self.password or not has_password(sent, self.password):
            return False
        del request.headers[_HEADER]
        return True

    def _refuse(
        self, flow: http.HTTPFlow, response: Callable[[Protocol | None], Respond], reason: str
    ) -> None:
        request = flow.request
        protocol = recognise(request.method, request.path, request.headers.get("content-type", ""))
        answer(flow, response(protocol))
        record_refusal(flow, protocol, reason)
        report_refusal(flow, reason)


def _may_authenticate(mode: ProxyMode) -> bool:
    """Return whether clients of a mode know that they use a proxy, and can send a password."""
    return mode.type_name in (RegularMode.type_name, UpstreamMode.type_name)


addons = suite_of(AdmitClients)
