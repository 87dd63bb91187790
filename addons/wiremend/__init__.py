"""The library behind the addons: pure rules and machines, and one seam to mitmproxy."""

__version__ = "0.1.0"
