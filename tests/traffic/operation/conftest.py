"""Commands in subprocesses, with a proxy that reaches only the scripted provider."""

from pathlib import Path

import pytest
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider

from traffic.recorder import Recorder


@pytest.fixture
def recorder(authority: Authority, provider: ScriptedProvider, tmp_path: Path) -> Recorder:
    return Recorder(tmp_path, authority, provider)
