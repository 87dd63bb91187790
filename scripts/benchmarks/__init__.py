"""`scripts/bench`: what wiremend costs, side by side with a plain mitmdump and with other gateways.

    __main__.py         the command line
    workloads.py        what is measured: the registry of workloads, and their metrics
    messages.py         the bytes of requests and answers
    contenders.py       what is measured against each other: direct, mitmdump, wiremend
    peers.py            other gateways: installing and starting LiteLLM and claude-code-router
    bench.py            the order of the measurements; one measurement
    summary.py          medians of per-round ratios to the floor
    table.py            the table in Markdown
    machine.py          a description of the machine and of the versions
    processes.py        child processes that end with the bench
    proc_files.py       CPU time and memory from /proc
    native.py           compiling the programs in native/
    load.py             running native/load.c, the load client
    upstream.py         running native/upstream.c, the scripted provider
    stream_responses.py the script of the floor, loaded by mitmdump

Client and provider are written in C, so that neither limits what is measured.
"""
