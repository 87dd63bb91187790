"""Sends the traffic of the program under test through the proxy."""

import os

import pytest


@pytest.fixture(autouse=True)
def behind_the_proxy(wiremend, monkeypatch):
    """Set the variables of the proxy in this process; recording needs a real key."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", os.environ.get("ANTHROPIC_API_KEY", "sk-example"))
    for name, value in wiremend.env.items():
        monkeypatch.setenv(name, value)
