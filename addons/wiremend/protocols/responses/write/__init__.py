"""Responses requests and answers, written from the middle form."""

from wiremend.protocols.responses.write.request import write_request
from wiremend.protocols.responses.write.stream import make_writer

__all__ = ["make_writer", "write_request"]
