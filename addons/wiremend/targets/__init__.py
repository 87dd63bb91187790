"""Facts about providers."""
