"""The laws of the proxy, checked on recorded exchanges; `scripts/test --recordings` runs it."""
