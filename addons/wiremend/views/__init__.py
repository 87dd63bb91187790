"""What users see of a call in mitmweb and the log."""
