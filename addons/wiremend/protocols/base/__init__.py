"""The interface of a protocol, and the code that the protocols share."""
