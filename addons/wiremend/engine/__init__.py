"""The life of a call: attempts, holding, keep-alives, endings. Pure, but for stream_layer.py."""
