"""The process as a whole: its listener, memory, open files, event loop and loaded code.

listener.py       the addresses on which the proxy listens
freed_memory.py   what the C library does with freed memory
loop_watchdog.py  logs an event loop that is stuck
open_files.py     the limit of open files, and accepting connections beyond it
scripts.py        the scripts and modules that the running code was loaded from
"""
