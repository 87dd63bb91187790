"""Faster versions of hot spots of mitmproxy; `paths.py` lists and installs them."""
