"""The running proxy: loading, reloading, stopping, its records of calls, its own faults."""
