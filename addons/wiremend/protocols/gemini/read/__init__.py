"""Gemini requests and answers, read into the middle form."""

from wiremend.protocols.gemini.read.request import read_request
from wiremend.protocols.gemini.read.stream import GeminiReader

__all__ = ["GeminiReader", "read_request"]
