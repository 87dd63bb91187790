"""Sends calls again: the command `wiremend.resend`, and mitmproxy's Replay."""

from collections.abc import Sequence

from load_configuration import Shell, Suite, suite_of
from mitmproxy import command, ctx, flow, http
from mitmproxy.exceptions import CommandError
from wiremend.call_record.load import load_record
from wiremend.call_record.schema import METADATA_KEY
from wiremend.catalogue import rule_names
from wiremend.seam.call_options import CallOptions
from wiremend.seam.flows import forget_backup
from wiremend.views.flow_findings import forget_outcome
from wiremend.views.viewed_flow import is_call


class ResendCalls(Shell):
    """Remembers the keys of calls, in memory only, where flows are listed."""

    name = "wiremend.resend_calls"

    def __init__(self, suite: Suite) -> None:
        super().__init__(suite)
        self.requests = suite.requests

    @command.command("wiremend.resend")  # type: ignore[untyped-decorator]
    def resend(self, flows: Sequence[flow.Flow]) -> str:
        """Send calls again, each as a new flow: what the client sent, with its key, under the
        configuration in force. An edited request is sent as it is shown. The original stays.
        """
        sent = [self._copy(one) for one in flows if isinstance(one, http.HTTPFlow)]
        if not sent:
            raise CommandError("There is no call to send again; name one, such as @FLOWID.")
        ctx.master.commands.call("replay.client", sent)
        return f"sent again: {', '.join(one.id for one in sent)}"

    def request(self, flow: http.HTTPFlow) -> None:
        """Give a flow that is replayed the request of its client."""
        if flow.is_replay != "request" or flow.response or flow.error:
            return
        self.requests.restore(flow, self.current.settings.providers)
        forget_outcome(flow, rule_names())

    def wiremend_call(self, options: CallOptions) -> None:
        """Remember what the client sends, if somebody may send it again."""
        if ctx.master.addons.get("view") is not None:
            self.requests.take(options.flow)

    def response(self, flow: http.HTTPFlow) -> None:
        """Remember what is shown of the request, to notice when a user edits it."""
        self.requests.note_shown(flow)

    def error(self, flow: http.HTTPFlow) -> None:
        """Remember what is shown of the request, to notice when a user edits it."""
        self.requests.note_shown(flow)

    def done(self) -> None:
        """Forget all keys."""
        self.requests.clear()

    def _copy(self, original: http.HTTPFlow) -> http.HTTPFlow:
        """Return a flow with the same request and nothing else. Raises CommandError."""
        if original.live:
            raise CommandError("This call is still running; send it again when it has ended.")
        if not is_call(original) and load_record(original.metadata) is None:
            raise CommandError("This is no model call; mitmproxy's Replay sends it again.")
        duplicate: http.HTTPFlow = original.copy()
        duplicate.response = duplicate.error = None
        duplicate.comment = duplicate.marked = ""
        self.requests.copy(original, duplicate)
        duplicate.metadata.pop(METADATA_KEY, None)
        forget_backup(duplicate)
        return duplicate


addons = suite_of(ResendCalls)
