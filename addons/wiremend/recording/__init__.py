"""Recordings of traffic: reading files of mitmproxy, HAR files, JSON Lines and bodies.

    exchange.py    what every reader returns: recorded flows, their exchanges and messages
    sources.py     which files a command line names, and which format a file has
    limited.py     reading a file with bounded memory
    flow_files.py  mitmproxy's flow files, those of wiremend among them
    har.py         HAR files of browsers, Playwright and mitmproxy
    json_lines.py  one exchange a line
    bodies.py      the body of one response
    rewriting.py   the same recording with other responses

Readers are streams: their memory is that of the largest flow. A file that cannot be read raises
`UnusableRecording`, whose text never quotes the file.
"""
