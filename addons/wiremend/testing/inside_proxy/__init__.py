"""mitmproxy scripts that run inside the proxy of a test; `proxy.py` names them with `-s`.

The names of these addons do not start with `wiremend.`: by that prefix `load_configuration.py`
finds out whether the suite is still loaded after a failed reload.
"""
