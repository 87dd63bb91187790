"""Bytes and their framings; no module here depends on a protocol."""
