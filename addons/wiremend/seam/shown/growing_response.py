"""The response of a running call, shown while it grows."""

from weakref import ref

from mitmproxy import http

from wiremend.seam.client_side import ClientSide
from wiremend.seam.flow_record import Mask
from wiremend.seam.flows import is_dropped

UNFINISHED = b"\n"
"""Ends the body of a flow while its call runs, and is removed with its end.

mitmweb renders an open view again only if the bytes of the body change, and a call that is
cancelled or times out has the same bytes before and after. An empty line changes the meaning of
neither events nor JSON.
"""


class GrowingResponse:
    """What the client of a running call has received, for its flow."""

    def __init__(self, flow: http.HTTPFlow, client: ClientSide, mask: Mask | None) -> None:
        """`mask` removes secrets from the bytes that are shown."""
        client.is_followed = True
        self._flow = flow
        self._client = ref(client)
        self._mask = mask
        self._shown_bytes = 0

    @property
    def is_finished(self) -> bool:
        """Whether the call has ended, so that the flow has all that will be shown."""
        client = self._client()
        return client is None or client.is_finished or not self._flow.live

    def update(self) -> http.HTTPFlow | None:
        """Give the flow what the client has received; return the flow if that is more than before.

        Only whole lines are shown: a secret that has arrived in part could not be recognised.
        """
        client, response = self._client(), self._flow.response
        if client is None or self.is_finished or response is None or is_dropped(self._flow):
            return None
        received = client.received_lines()
        if len(received) <= self._shown_bytes:
            return None
        self._shown_bytes = len(received)
        shown = received if self._mask is None else self._mask({"data": received})["data"]
        response.data.content = bytes(shown) + UNFINISHED
        return self._flow
