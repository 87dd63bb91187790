"""The command `check`: reports what upstream did wrong in recorded traffic.

command.py        the command line
runs.py           checks files, flow by flow
checker.py        checks one exchange with the core of the proxy
blocks.py         which block of a response an event belongs to
problems.py       findings, aggregated by rule and block
selection.py      which findings are reported
secret_places.py  where a recording contains secrets (`--secrets`)
fixing.py         the recording as clients of the proxy would have received it (`--fix`)
progress.py       progress on a terminal
reports/          the formats of the report
"""
