"""Starting the proxy, and a command behind it: certificate authority, environment, processes."""
