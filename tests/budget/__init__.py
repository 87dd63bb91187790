"""What the hot paths cost, in counts instead of seconds; `scripts/budget` runs it.

    paths.py        the paths, and the work that is counted on each
    counting.py     counts instructions, calls, bytes and memory
    budget_file.py  the allowed counts, budget.toml
    report.py       the table

Seconds vary with the machine and its load, counts do not: a change of 2 % is visible in one run.
They do not replace `scripts/bench`: the time that C code takes is only approximated, by the number
of bytes it is called with.
"""
