"""Recordings of traffic: reading and writing them, and serving them again.

    exchange.py    what every reader returns: recorded flows, their exchanges and messages
    sources.py     which files a command line names, and which format a file has
    limited.py     reading a file with bounded memory
    flow_files.py  mitmproxy's flow files, those of wiremend among them
    har.py         HAR files of browsers, Playwright and mitmproxy
    json_lines.py  one exchange a line
    bodies.py      the body of one response
    rewriting.py   the same recording with other responses
    recorder.py    writing flows, with stand-ins for identities
    this_machine.py   the names of this machine and its user

Serving a recording again, without I/O but for reading the file:

    recorded_calls.py   each client's request, and what the provider sent for it, by attempt
    normal_form.py      what is equal in two runs of a client; the levels of matching
    cassette.py         matches requests, and reports hits, misses and unused calls
    replay_report.py    what became of the requests; read without mitmproxy
    request_diff.py     how a request differs from a recorded one
    path_maps.py        folders that are somewhere else now
    mapped_answers.py   such folders in recorded tool calls

Readers are streams: their memory is that of the largest flow. A file that cannot be read raises
`UnusableRecording`, whose text never quotes the file.
"""
