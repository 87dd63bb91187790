"""Bytes and their formats: server-sent events, JSON, content codings.

No module here depends on a protocol, or on any other package of wiremend.
"""
