"""Adapting requests: from what the client sent to what one target accepts."""
