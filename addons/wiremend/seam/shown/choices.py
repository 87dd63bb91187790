"""The choices of an argument of a command."""


class Choices(tuple[str, ...]):
    """Choices that an error names. mitmproxy only answers "Invalid choice." to another one.

    `mitmproxy.types.Choice` asks whether the list that a command returns contains the argument, and
    shows the text of a ValueError to the user.
    """

    def __contains__(self, choice: object) -> bool:
        """Return True. Raises ValueError for another choice, with a text for the user."""
        if not super().__contains__(choice):
            raise ValueError(f"{choice!r} is not one of {', '.join(self)}.")
        return True
