"""Shows responses in mitmweb and mitmproxy while they are streamed."""

import asyncio

from load_configuration import Shell, Suite, suite_of
from mitmproxy import ctx
from mitmproxy.hooks import UpdateHook
from wiremend.seam.call_options import CallOptions
from wiremend.seam.shown.growing_response import GrowingResponse

INTERVAL_SECONDS = 1.0
"""Each update hashes the messages of the flow and renders the view that is open."""


class ShowRunning(Shell):
    """Updates the flows of running calls at an interval; does nothing where no list is shown."""

    name = "wiremend.show_running"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.running: list[GrowingResponse] = []
        self.updater: asyncio.Task[None] | None = None

    def wiremend_call(self, options: CallOptions) -> None:
        """Follow a call if somebody can look at it."""
        if ctx.master.addons.get("view") is not None:
            options.follow = self.follow

    def follow(self, response: GrowingResponse) -> None:
        """Update the flow of this call until it has ended."""
        self.running.append(response)
        if self.updater is None or self.updater.done():
            self.updater = asyncio.get_running_loop().create_task(self._update())

    def done(self) -> None:
        """Stop updating."""
        if self.updater is not None:
            self.updater.cancel()

    async def _update(self) -> None:
        while self.running:
            await asyncio.sleep(INTERVAL_SECONDS)
            self.show()

    def show(self) -> None:
        """Show what has arrived since the last time."""
        self.running = [response for response in self.running if not response.is_finished]
        changed = [flow for response in self.running if (flow := response.update()) is not None]
        if changed:
            ctx.master.addons.trigger(UpdateHook(changed))


addons = suite_of(ShowRunning)
