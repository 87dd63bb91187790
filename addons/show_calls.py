"""Shows calls as text in mitmweb, mitmproxy and mitmdump: outcome, changes, conversation."""

from collections import deque
from itertools import islice
from weakref import ref

from load_configuration import Shell, Suite, suite_of
from mitmproxy import contentviews, ctx, http
from mitmproxy.addonmanager import Loader
from wiremend.catalogue import rule_names
from wiremend.seam.shown.rendered_views import forget_rendered
from wiremend.views.content.turns import CALLS_LIMIT
from wiremend.views.content.view_list import VIEWS
from wiremend.views.viewed_flow import CallView, is_call

REMEMBERED_FLOWS = 10_000
"""How many flows are known by their order; one that is gone elsewhere is not kept by this."""


class ShowCalls(Shell):
    """Registers the content views, and finds the calls before another one."""

    name = "wiremend.show_calls"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.flows: deque[ref[http.HTTPFlow]] = deque(maxlen=REMEMBERED_FLOWS)

    def load(self, loader: Loader) -> None:
        """Register the views. mitmproxy cannot remove any; a reload replaces them."""
        for view in VIEWS:
            contentviews.add(CallView(view, rule_names, self._columns, self._earlier))

    def request(self, flow: http.HTTPFlow) -> None:
        """Remember the order of flows, live and from files."""
        while self.flows and self.flows[0]() is None:
            self.flows.popleft()
        self.flows.append(ref(flow))

    def response(self, flow: http.HTTPFlow) -> None:
        """Have a view of this flow rendered again, now that its outcome is known."""
        forget_rendered(ctx.master)

    def error(self, flow: http.HTTPFlow) -> None:
        """Have a view of this flow rendered again, now that its outcome is known."""
        forget_rendered(ctx.master)

    def _columns(self) -> int:
        columns: int = ctx.options.wiremend_columns
        return columns

    def _earlier(self, flow: http.HTTPFlow) -> list[http.HTTPFlow]:
        """Return calls before this one, the latest first."""
        order = (known() for known in reversed(self.flows))
        latest_first = [known for known in order if known is not None]
        position = next((at for at, known in enumerate(latest_first) if known.id == flow.id), -1)
        return list(islice(filter(is_call, latest_first[position + 1 :]), CALLS_LIMIT))


addons = suite_of(ShowCalls)
