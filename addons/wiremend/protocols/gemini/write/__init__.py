"""Gemini requests and answers, written from the middle form."""

from wiremend.protocols.gemini.write.request import write_request
from wiremend.protocols.gemini.write.stream import GeminiWriter

__all__ = ["GeminiWriter", "write_request"]
