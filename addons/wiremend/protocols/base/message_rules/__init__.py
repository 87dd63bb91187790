"""Rules on messages and parameters that several protocols share, and their passes, by subject."""
