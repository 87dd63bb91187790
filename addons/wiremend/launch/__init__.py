"""A child process behind the proxy: certificate authority, environment, processes."""
