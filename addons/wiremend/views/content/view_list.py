"""The views by name, and rendering one of them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from wiremend.rules.containment import Fault, contain
from wiremend.views.content.changes import request_changes_view, response_changes_view
from wiremend.views.content.context import context_view
from wiremend.views.content.findings import findings_view
from wiremend.views.content.messages import FULL
from wiremend.views.content.overview import conversation_view, request_view, response_view
from wiremend.views.content.page import COLUMNS, MOST_LINES, Page
from wiremend.views.content.timeline import timeline_view
from wiremend.views.content.turns import since_last_turn_view
from wiremend.views.content.viewed import ViewedCall

type Build = Callable[[ViewedCall, Page], None]

_CONVERSATION_LINES = 10_000
_RAW_CHARACTERS = 100_000


@dataclass(frozen=True, slots=True)
class View:
    """A view: its name in menus, and what builds it on either side of a call."""

    name: str
    """Letters, digits and spaces; mitmweb's address of a view allows no others."""
    on_request: Build
    on_response: Build
    is_automatic: bool = False
    """Whether it is shown unless another view is chosen."""
    most_lines: int = MOST_LINES


def _of_both(name: str, build: Build, most_lines: int = MOST_LINES) -> View:
    return View(name, build, build, most_lines=most_lines)


VIEWS: tuple[View, ...] = (
    View("call", request_view, response_view, is_automatic=True),
    _of_both("findings", findings_view),
    View("before and after", request_changes_view, response_changes_view),
    _of_both("timeline", timeline_view),
    _of_both("conversation", partial(conversation_view, detail=FULL), _CONVERSATION_LINES),
    _of_both("since last turn", since_last_turn_view),
    _of_both("context", context_view),
)
"""Every view. mitmproxy's own view *raw* shows the bytes."""


def render(view: View, call: ViewedCall, *, is_request: bool, columns: int = COLUMNS) -> str:
    """Return the text of a view. A fault in a view is reported in its text."""
    page = Page(columns, view.most_lines)
    build = view.on_request if is_request else view.on_response

    def failed(fault: Fault) -> None:
        page.line(f"The view {view.name} failed ({fault}); the view raw shows the body.")

    contain(f"the view {view.name}", failed, build, call, page)
    return "\n".join(page.text(_more(view)))


def _more(view: View) -> str:
    if view.most_lines > MOST_LINES:
        return "… more than can be shown here: view raw"
    return "… more: view conversation, or raw"
