"""The library behind the addons: pure rules and machines, and one seam to mitmproxy."""
