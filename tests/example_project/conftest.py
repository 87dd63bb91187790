"""Sends the traffic of the program under test through the proxy."""

import pytest


@pytest.fixture(autouse=True)
def behind_the_proxy(wiremend, monkeypatch):
    """Set the variables of the proxy, and a key, in this process."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-example")
    for name, value in wiremend.env.items():
        monkeypatch.setenv(name, value)
