"""Contains the faults in the hooks of our addons: see `wiremend.rules.containment`."""

import logging
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from mitmproxy import http

from wiremend.engine.error_responses import fault_response
from wiremend.rules.containment import FaultLog, contain, fault_of
from wiremend.seam.flows import answer, drop_content, name_of

HOOKS = (
    "requestheaders",
    "request",
    "responseheaders",
    "response",
    "error",
    "tls_clienthello",
    "next_layer",
    "http_connect",
    "http_connect_upstream",
)
"""The hooks of traffic. After a fault in another one, such as `load`, mitmproxy decides."""

logger = logging.getLogger("wiremend")


def contain_hooks(addon: Any, fault_log: FaultLog) -> None:
    """Replace the hooks of this addon by ones that do not raise.

    mitmproxy would log the exception with a long trace and continue, also with a request that is to
    be sent elsewhere. `addon.refuses_after_fault` names the hooks that decide that: after a fault
    in them, the request is answered with an error. `addon.drops_after_fault` names those after
    whose fault the flow is not kept.
    """
    for name in HOOKS:
        if hook := getattr(addon, name, None):
            setattr(addon, name, _contained(addon, name, hook, fault_log))


def _contained(
    addon: Any, name: str, hook: Callable[[Any], None], fault_log: FaultLog
) -> Callable[[Any], None]:
    is_refusing = name in getattr(addon, "refuses_after_fault", ())
    is_dropping = name in getattr(addon, "drops_after_fault", ())

    @wraps(hook)
    def contained(subject: Any) -> None:
        try:
            hook(subject)
        except Exception as exception:
            fault = fault_of(f"{addon.name}: {name}", exception)
            call, done = "a connection", "it passes unchanged"
            if isinstance(subject, http.HTTPFlow):
                call = contain("naming a call", lambda _: "a call", name_of, subject)
                if is_refusing:
                    answer(subject, fault_response(None, fault.kind))
                    done = "it is answered with an error"
                if is_dropping:
                    contain("dropping a flow", lambda _: None, drop_content, subject)
                    done = "its flow is not kept"
            log_fault(fault_log.line(fault, call, done, time.monotonic()), fault.trace)

    return contained


def log_fault(line: str | None, trace: str) -> None:
    """Log a line of `FaultLog`, and the stack of the fault at the level of debugging."""
    if line is not None:
        logger.warning(line)
        logger.debug("wiremend: %s", trace)
