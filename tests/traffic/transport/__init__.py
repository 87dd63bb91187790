"""Connections: HTTP/1.1 and HTTP/2, proxy modes, concurrent calls, trailers, backpressure."""
