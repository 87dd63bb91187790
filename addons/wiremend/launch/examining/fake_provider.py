"""`--fake-provider`: a provider on loopback in place of all real ones, for a command without keys.

It answers each call with a short text in the call's protocol, and every other request to a host
that is intercepted with 404. Other hosts are not reachable.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from wiremend.launch.examining.trial import KEYS, reply_to
from wiremend.testing import inside_proxy
from wiremend.testing.certificates import Authority, LeafPerName
from wiremend.testing.provider import ScriptedProvider

_KEY = "wiremend-fake-provider-no-real-key"


@dataclass(frozen=True, slots=True)
class FakeProvider:
    """What makes a proxy use the provider."""

    arguments: list[str]
    """Of mitmproxy."""
    variables: Mapping[str, str]
    """Of the proxy and of the command: where the provider is, and keys for clients without one."""


@contextlib.contextmanager
def fake_provider(environment: Mapping[str, str]) -> Iterator[FakeProvider]:
    """Run the provider until the context ends. `environment` is that of the command."""
    with tempfile.TemporaryDirectory(prefix="wiremend-provider-") as name:
        directory = Path(name)
        authority = Authority(directory / "authority")
        with ScriptedProvider(LeafPerName(authority), directory) as provider:
            provider.script([reply_to])
            script = Path(inside_proxy.__path__[0]) / "answer_from_loopback.py"
            trust = f"ssl_verify_upstream_trusted_ca={authority.file}"
            yield FakeProvider(
                ["-s", str(script), "--set", trust],
                {
                    "WIREMEND_TESTING_PROVIDER": str(provider.port),
                    "WIREMEND_TESTING_ALPN": '["h2", "http/1.1"]',
                    **{key: _KEY for key in KEYS if not environment.get(key)},
                },
            )
