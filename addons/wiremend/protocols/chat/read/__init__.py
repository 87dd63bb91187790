"""Chat Completions requests and answers, read into the middle form."""

from wiremend.protocols.chat.read.request import read_request
from wiremend.protocols.chat.read.stream import ChatReader

__all__ = ["ChatReader", "read_request"]
