"""Turning the JSON configuration of another proxy into a wiremend.toml."""
