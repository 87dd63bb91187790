"""Screens of mitmproxy's programs, as a person sees and uses them."""
