"""Repairing responses, independent of the protocol: event streams, bodies, tool names."""
