"""Chat Completions requests and answers, written from the middle form."""

from wiremend.protocols.chat.write.request import write_request
from wiremend.protocols.chat.write.stream import ChatWriter

__all__ = ["ChatWriter", "write_request"]
