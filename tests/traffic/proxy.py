"""The proxy of the pytest plugin, with what these tests need besides."""

import os
from pathlib import Path
from typing import Any

from wiremend.testing import proxy
from wiremend.testing.proxy import ProxyFailed as ProxyFailed

REPOSITORY = Path(__file__).resolve().parents[2]
_INSIDE_PROXY = Path(__file__).with_name("inside_proxy")
SUITE = str(REPOSITORY / "addons") + os.sep
"""`-s addons/`, as typed."""
STREAM_RESPONSES = str(_INSIDE_PROXY / "stream_responses.py")
"""The baseline: a proxy that repairs nothing."""
FAIL_PLANNING = str(_INSIDE_PROXY / "fail_planning.py")
"""The planning of a call with an `x-break` header raises."""

KEY = "sk-test-DO-NOT-LOG-4c5bd8e1"
"""The key of all clients; it must not appear in a log."""
_NEVER_LOGGED = (KEY, "sk-test-DO-NOT-LOG")


class Proxy(proxy.Proxy):
    """A proxy that inherits no keys, and in whose log the clients' key must not be.

    It reports calls only on request: many tests, the benchmark and the demo do not look at them.
    """

    def __init__(self, *positional: Any, reports_calls: bool = False, **options: Any) -> None:
        super().__init__(
            *positional, reports_calls=reports_calls, never_logged=_NEVER_LOGGED, **options
        )

    @staticmethod
    def inherited_environment() -> dict[str, str]:
        """Return the variables that every proxy inherits, except API keys."""
        inherited = proxy.Proxy.inherited_environment()
        return {
            name: value
            for name, value in inherited.items()
            if not name.upper().endswith("_API_KEY")
        }
