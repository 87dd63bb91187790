"""Who may use the configured keys and the configuration, and that no key is shown."""
