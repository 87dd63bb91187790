"""The repair of a whole body, which may be a stream that answers a call without one."""

from dataclasses import replace

from wiremend.protocols.base.event_repairer import DONE
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.provider_error import own_error
from wiremend.protocols.base.repairer import RepairedBody, StreamContext
from wiremend.repair.leaked_calls import recover_in_body
from wiremend.repair.stream import REPAIR_FAILED, stream_repair
from wiremend.repair.tool_names import restore_tool_names
from wiremend.rules.containment import Fault, contain
from wiremend.rules.rule import CallPlace, Finding
from wiremend.text import json_value, sse

_NOT_FOLDED = own_error("The provider sent events that are no response.", type="api_error")


def repair_body(
    protocol: Protocol, body: bytes, context: StreamContext, faults: list[Fault] | None = None
) -> RepairedBody:
    """Repair a buffered 2xx body; contained faults go to `faults`."""

    def unchanged(fault: Fault) -> RepairedBody:
        if faults is not None:
            faults.append(fault)
        is_json = contain("reading a body", lambda _: False, json_value.parses, body)
        done = "passed on unchanged" if is_json else "ended in an error"
        finding = Finding(REPAIR_FAILED.code, CallPlace.RESPONSE, str(fault), done)
        message = "The provider sent a body that cannot be read."
        error = own_error(message, type="api_error")
        return RepairedBody(body, [finding], None if is_json else error)

    return contain("repairing a body", unchanged, _repair_body, protocol, body, context)


def _repair_body(protocol: Protocol, body: bytes, context: StreamContext) -> RepairedBody:
    recovered = recover_in_body(protocol, body, context)
    named = recovered.data
    if context.tool_names_by_sent:
        named = restore_tool_names(named, context.tool_names_by_sent)
    repaired = protocol.repair_body(named, context)
    repaired.findings[:0] = recovered.findings
    return repaired


def fold_stream(
    protocol: Protocol, body: bytes, context: StreamContext, faults: list[Fault] | None = None
) -> RepairedBody:
    """Repair a body of events, and return it as the JSON body with the same content."""

    def unreadable(fault: Fault) -> RepairedBody:
        if faults is not None:
            faults.append(fault)
        return RepairedBody(body, error=_NOT_FOLDED)

    return contain("folding a stream", unreadable, _fold_stream, protocol, body, context, faults)


def _fold_stream(
    protocol: Protocol, body: bytes, context: StreamContext, faults: list[Fault] | None
) -> RepairedBody:
    repair = stream_repair(protocol, replace(context, array=False), faults)
    repaired = [*repair.feed(body), *repair.end()]
    findings = [finding for item in repaired for finding in item.findings]
    error = next((item.error for item in repaired if item.error is not None), None)
    if error is not None or repair.gave_up:
        return RepairedBody(body, findings, error or _NOT_FOLDED)
    events = sse.Decoder().feed(b"".join(item.data for item in repaired))
    values = [json_value.read(e.data) for e in events if e.data and e.data.strip() != DONE]
    folded = protocol.fold([value for value in values if isinstance(value, dict)])
    if folded is None:
        return RepairedBody(body, findings, _NOT_FOLDED)
    whole = protocol.repair_body(json_value.write(folded), context)
    return RepairedBody(whole.data, findings + whole.findings, whole.error)
