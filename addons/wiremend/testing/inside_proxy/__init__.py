"""mitmproxy scripts that run inside the proxy of a test; `proxy.py` names them with `-s`."""
