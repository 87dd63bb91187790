"""Responses: from what the provider sent to what the client's grammar accepts."""
