"""A number with its noun, for messages."""


def counted(count: int, noun: str) -> str:
    """Return the number with the noun, such as `1 call` or `2,000 calls`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
