"""The life of a call: attempts, retries, held responses, keep-alives and endings.

Everything here is pure: time, randomness and bytes come in as arguments. `now` and other points
in time are seconds of one monotonic clock, unless a name says `wall_clock` (seconds since the
epoch). Durations are in seconds, and their names end in `_seconds`; only in `Timeouts` and
`Heartbeat`, which hold nothing but seconds, the fields have the names of the configuration.
"""
