"""What a person sees of a call in mitmweb and the log."""
