"""Responses requests and answers, read into the middle form."""

from wiremend.protocols.responses.read.request import read_request
from wiremend.protocols.responses.read.stream import ResponsesReader

__all__ = ["ResponsesReader", "read_request"]
