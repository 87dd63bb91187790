"""Content that was cut: how a tool call, a block or a stream that ends too early is ended.

It ends in the protocol's error, never in a success: a client runs what looks like a complete tool
call. Every repairer raises `ContentLost` where content cannot be recovered; `event_repairer` writes
the protocol's error event for it, `body` makes the response an HTTP error, and before content was
sent the engine retries the call. The grammar of each protocol defines what is cut: in Anthropic
Messages, `max_tokens` or a refusal may end a tool call inside its JSON.
"""

CUT_ARGUMENTS = "The provider's tool call ended inside its JSON arguments."
"""The message of ContentLost for a call whose arguments are incomplete."""


class ContentLost(Exception):
    """Content cannot be recovered, so the response must end in the protocol's error.

    `status` is the HTTP status of that error.
    """

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
