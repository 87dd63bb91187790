"""Calls between two protocols: the driver, and the rules on what is lost."""
