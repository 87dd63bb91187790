"""The names of the tools that a request offers, to join the name of a call from its pieces."""


class ToolNames:
    """Answers which names a call may have; none are known without `names`."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def has(self, name: str) -> bool:
        """Return whether a tool has this name."""
        return name in self._names

    def may_go_on(self, name: str) -> bool:
        """Return whether this is no tool's name, but the beginning of one."""
        return name not in self._names and self._begins(name)

    def continues(self, begun: str, piece: str) -> bool:
        """Return whether a piece is the next one of a name that has begun."""
        return bool(begun) and self.joined(begun, piece) not in (begun, "")

    def joined(self, begun: str, piece: str) -> str:
        """Return the name with a further piece, or with all of the name so far again."""
        if not begun or not piece:
            return begun or piece
        if self._begins(begun + piece):
            return begun + piece
        return piece if piece.startswith(begun) and self._begins(piece) else begun

    def _begins(self, name: str) -> bool:
        return bool(name) and any(one.startswith(name) for one in self._names)
