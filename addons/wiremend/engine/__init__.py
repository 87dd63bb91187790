"""The life of a call: attempts, holding, keep-alives, endings."""
