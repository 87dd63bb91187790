"""Calls of many kinds through one proxy for a long time; `scripts/soak` runs it.

scenarios.py      what the provider does with a call, and how the call must end
schedule.py       the calls of a run, chosen by a seed
callers.py        the clients: official SDKs, and raw HTTP/1.1 and HTTP/2
load.py           makes the calls at a constant rate and counts their ends
samples.py        memory, sockets, tasks and objects of the proxy, by time
report_state.py   a mitmproxy script that reports tasks and objects from inside
verdict.py        whether the figures are flat
report.py         tables and JSON
"""
