"""Messages requests and answers, read into the middle form."""

from wiremend.protocols.anthropic.read.request import read_request
from wiremend.protocols.anthropic.read.stream import AnthropicReader

__all__ = ["AnthropicReader", "read_request"]
