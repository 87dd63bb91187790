"""Request: adapts tools, messages and fields to the target, and learns from its rejections."""

import logging

from load_configuration import suite_of
from mitmproxy import command
from wiremend.adapt.lessons import LessonBook, as_toml
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.config.current import CurrentConfig
from wiremend.seam.flows import address_request, outgoing_of
from wiremend.seam.stream_layer import PlannedCall
from wiremend.targets.registry import traits_of
from wiremend.views.flow_findings import note_request_findings

logger = logging.getLogger("wiremend")


class SanitizeTools:
    """A request that its target accepts keeps its bytes."""

    name = "wiremend.sanitize_tools"

    def __init__(self, current: CurrentConfig) -> None:
        self.current = current
        self.book = LessonBook()

    def wiremend_call(self, planned: PlannedCall) -> None:
        """Adapt the request to each target that it may be sent to."""
        plan, request = planned.plan, planned.flow.request
        if plan.protocol is None or plan.facts is None:
            return
        self.book.give(self.current.lessons)
        plan.fitted = AdaptedRequests(self.book, self.current.disabled)
        own = outgoing_of(request, plan.protocol, plan.host, plan.facts.model)
        for outgoing in plan.requests or (own,):
            dialect = self.current.dialect_of(outgoing.provider, outgoing.host)
            configured = self.current.address_of(outgoing.provider, outgoing.host)
            traits = traits_of(
                plan.protocol.name,
                outgoing.host,
                outgoing.model,
                dialect=dialect,
                rules=configured.message_rules if configured else None,
                max_output_tokens=configured.max_output_tokens if configured else None,
            )
            plan.fitted.add(outgoing, traits)
        first = plan.fitted.at(0)
        note_request_findings(planned.flow, first.findings)
        if not plan.requests and first.request is not own:
            address_request(request, first.request)

    @command.command("wiremend.lessons")  # type: ignore[untyped-decorator]
    def lessons(self) -> str:
        """What was learnt from rejections, as configuration."""
        return as_toml(self.book.learnt)

    def done(self) -> None:
        """Say what was learnt, so that the next proxy can be told."""
        if self.book.learnt:
            logger.info("wiremend: learnt from rejections:\n%s", as_toml(self.book.learnt))


addons = suite_of(SanitizeTools)
