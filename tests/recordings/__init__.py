"""The laws of the proxy, checked on recorded exchanges; `scripts/test --recordings` runs it.

`schemas` counts how many recorded tools still accept what they accepted, per dialect.
"""
