"""A flow as the input of the views."""

from collections.abc import Callable, Mapping, Sequence

from mitmproxy import http
from mitmproxy.contentviews import Contentview, Metadata

from wiremend.call_record.load import load_record
from wiremend.protocols.registry import recognise
from wiremend.seam.flows import body_of
from wiremend.views.content.view_list import View, render
from wiremend.views.content.viewed import ShownRequest, ShownResponse, ViewedCall

type Earlier = Callable[[http.HTTPFlow], Sequence[http.HTTPFlow]]
"""Returns the calls before this one, the latest first."""

_AUTOMATIC = 2.0
"""Above mitmproxy's own views, of which the highest has 1."""
_ONLY_BY_NAME = -1.0


class CallView(Contentview):
    """One of the views, for mitmproxy."""

    def __init__(
        self,
        view: View,
        rule_names: Callable[[], Mapping[str, str]],
        columns: Callable[[], int],
        earlier: Earlier,
    ) -> None:
        self._view = view
        self._rule_names = rule_names
        self._columns = columns
        self._earlier = earlier

    @property
    def name(self) -> str:
        """The name in menus."""
        return self._view.name

    def render_priority(self, data: bytes, metadata: Metadata) -> float:
        """Return whether this is the view that is shown unless another one is chosen."""
        flow, message = metadata.flow, metadata.http_message
        is_shown = (
            self._view.is_automatic
            and isinstance(flow, http.HTTPFlow)
            and message is not None
            and is_call(flow)
        )
        return _AUTOMATIC if is_shown else _ONLY_BY_NAME

    def prettify(self, data: bytes, metadata: Metadata) -> str:
        """Return the text of the view."""
        flow, message = metadata.flow, metadata.http_message
        if not isinstance(flow, http.HTTPFlow) or message is None:
            return "This view is for the messages of model calls."
        call = self._viewed(flow)
        is_request = isinstance(message, http.Request)
        return render(self._view, call, is_request=is_request, columns=self._columns())

    def _viewed(self, flow: http.HTTPFlow) -> ViewedCall:
        return viewed_call(
            flow,
            self._rule_names(),
            lambda: [viewed_call(one, {}) for one in self._earlier(flow)],
        )


def is_call(flow: http.HTTPFlow) -> bool:
    """Return whether a flow is a model call."""
    request = flow.request
    content_type = request.headers.get("content-type", "")
    return recognise(request.method, request.path, content_type) is not None


def viewed_call(
    flow: http.HTTPFlow,
    rule_names: Mapping[str, str],
    earlier: Callable[[], Sequence[ViewedCall]] = tuple,
) -> ViewedCall:
    """Return a flow as the input of a view."""
    return ViewedCall(
        request=_shown_request(flow.request),
        response=None if flow.response is None else _shown_response(flow.response),
        record=load_record(flow.metadata),
        error=flow.error.msg if flow.error is not None else "",
        rule_names=rule_names,
        earlier=earlier,
    )


def _shown_request(request: http.Request) -> ShownRequest:
    return ShownRequest(
        method=request.method,
        path=request.path,
        content_type=request.headers.get("content-type", ""),
        body=body_of(request) or b"",
    )


def _shown_response(response: http.Response) -> ShownResponse:
    body = None if response.raw_content is None else body_of(response)
    return ShownResponse(response.status_code, body)
