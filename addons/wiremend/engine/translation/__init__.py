"""Calls to targets of another protocol: planning them, and translating their answers."""
