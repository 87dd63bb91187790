"""Deliberate faults of a provider, for tests of clients and of wiremend itself.

    fault.py            the kinds of faults, and their parameters
    schedule.py         which fault is injected into which attempt of which call
    broken_answer.py    an attempt's answer as a broken provider would have sent it: from head and
                        chunks, with their times, to other heads, chunks and ends
    changes.py          one class for each way to break an answer
    event_edits.py      faults inside events, by protocol

Everything here is deterministic: times are arguments, and a probability is decided by a hash of
the seed. `seam/injected_faults.py` applies a broken answer before the engine sees it, so the engine
treats it like any other failure of a provider.
"""
