"""End-to-end tests with real clients, a real mitmdump and a scripted provider.

The proxy and the provider are those of the pytest plugin, `wiremend.testing`.
"""

from wiremend.testing import answers as good

__all__ = ["good"]
