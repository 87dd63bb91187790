"""What a client receives: untouched healthy responses, repaired and retried broken ones."""
