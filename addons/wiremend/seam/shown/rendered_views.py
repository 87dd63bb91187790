"""Content views that the console has rendered."""

from typing import Any

from mitmproxy import contentviews


def forget_rendered(master: Any) -> None:
    """Drop the texts of content views that the console keeps, and render the open one again.

    The console keeps 200 texts by headers and body. A view of wiremend also depends on the record
    of the call, and two calls may have equal messages.
    """
    if hasattr(master, "window"):  # the console
        contentviews.registry.on_change.send(contentviews.registry["raw"])
