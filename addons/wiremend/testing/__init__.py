"""Tests of traffic: the pytest plugin, a scripted provider, and a proxy as a subprocess.

The wheel registers `plugin.py` as the entry point `wiremend` of pytest. pytest imports it in every
run, so it imports nothing else at its top; the fixtures import the rest. All of this needs a POSIX
system.

    plugin.py         the fixtures `wiremend` and `wiremend_provider`, the marker `wiremend`, the
                      options on cassettes, and the report section of failed tests
    marks.py          the arguments of the marker
    cassettes.py      the cassette of a test: replaying it, or recording it
    proxy.py          mitmdump with all addons as a subprocess; its calls, findings and log
    call_checks.py    what `assert_clean` and `assert_no_failures` check, and calls as text
    provider.py       a provider on loopback: TLS, HTTP/1.1 and HTTP/2, replies from a script
    connections.py    its connections: what both HTTP versions share
    http1_connections.py, http2_connections.py   those of each version
    exchange.py       requests to the provider, and replies as lists of steps
    steps.py          the steps of replies, and complete replies
    plays.py          replies written as tables
    answers.py        valid answers in the four protocols
    certificates.py   a certificate authority for a test run
    origin.py         a recording as a provider, for `wiremend replay`
    recorded_replies.py   recorded answers as replies
    inside_proxy/     the mitmproxy scripts that `proxy.py` loads
"""
