"""Choosing the target of a call: routes, providers, credentials, model lists, token counts."""
