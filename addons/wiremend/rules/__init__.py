"""The rules: what is wrong on the wire, what it is called, and how it is mended. Pure."""
