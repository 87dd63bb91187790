"""The automatic views: on a response what it answers, on a request what it asks; both first say how
the call ended and what was done to it."""

from wiremend.call_record.outcomes import CallState
from wiremend.call_record.schema import CallRecord
from wiremend.call_record.schema import Usage as StoredUsage
from wiremend.protocols.base.middle.conversation import (
    Conversation,
    Parameters,
    Tool,
    names_by_call,
)
from wiremend.protocols.base.provider_error import ProviderError
from wiremend.protocols.base.usage import NO_USAGE, Usage
from wiremend.text import json_value
from wiremend.views.content.findings import add_findings, codes_in
from wiremend.views.content.messages import (
    ANSWER,
    OLD,
    RECENT,
    Detail,
    add_parts,
    add_turns,
    size_text,
    system_text,
)
from wiremend.views.content.page import Page, counted, one_line
from wiremend.views.content.timeline import add_attempts, timeline_view
from wiremend.views.content.viewed import ViewedCall
from wiremend.views.outcome import (
    Verdict,
    events_in,
    is_own_error,
    received_instead,
    summary_of,
    tries,
    verdict_of,
    words_of_failure,
)

_RECENT_TURNS = 4
_OLD_TURNS = 60
_SYSTEM_LINES = 6
_TOOLS_LIMIT = 400
_SESSION_LIMIT = 80
_MCP_PREFIX, _MCP_SEPARATOR = "mcp__", "__"


def response_view(call: ViewedCall, page: Page) -> None:
    """Add the outcome, the findings and the answer."""
    add_outcome(call, page, reads_answer=True)
    add_what_was_done(call, page)
    page.heading("answer")
    _add_answer(call, page, ANSWER)


def request_view(call: ViewedCall, page: Page) -> None:
    """Add the outcome, the findings, the timeline, and the request."""
    add_outcome(call, page)
    if call.record is not None and verdict_of(call.record) is Verdict.RUNNING:
        page.line("  when this tab was opened; the tab of the response follows the call")
    add_what_was_done(call, page)
    if call.record is not None and _is_worth_a_timeline(call.record):
        page.heading("timeline")
        timeline_view(call, page)
    conversation = call.conversation
    if conversation is None:
        page.heading("request")
        page.block(call.request.body[:100_000].decode("utf-8", "replace"), "  ")
        return
    _add_facts(conversation, page)
    _add_system_and_tools(conversation, page)
    _add_messages(conversation, page)


def conversation_view(call: ViewedCall, page: Page, detail: Detail) -> None:
    """Add the whole request and the whole answer."""
    conversation = call.conversation
    if conversation is not None:
        if conversation.system:
            page.heading("system")
            page.block(system_text(conversation), most_lines=detail.text)
        page.heading(counted(len(conversation.turns), "message"))
        add_turns(conversation.turns, page, detail, names_by_call(conversation.turns))
    page.heading("answer")
    _add_answer(call, page, detail)


def add_outcome(call: ViewedCall, page: Page, *, reads_answer: bool = False) -> None:
    """Add how the call ended: verdict, model, provider, times, tokens.

    The tokens of a call whose record has none are in its answer, which takes time to read.
    """
    record = call.record
    if record is None:
        _add_outcome_without_record(call, page)
        return
    body = call.response.body if call.response is not None else None
    events = events_in(body or b"")
    summary = summary_of(record, events)
    headline = summary.headline
    if summary.verdict in (Verdict.REPAIRED, Verdict.REPORTED):
        headline += f": {codes_in(record.findings, call.rule_names)}"
    page.line(f"{summary.verdict.glyph} {headline}", hanging="  ")
    provider = one_line(record.provider, 80)
    count = tries(record)
    is_in_headline = summary.verdict in (Verdict.RETRIED, Verdict.FELL_BACK)
    attempts = f"{count} attempts" if count > 1 and not is_in_headline else ""
    times = [
        f"first byte {record.head_seconds:.2f} s" if record.head_seconds is not None else "",
        f"total {record.end_seconds:.2f} s" if record.end_seconds is not None else "",
    ]
    usage = record.usage.counts() if record.usage is not None else NO_USAGE
    if usage == NO_USAGE and reads_answer and call.answer is not None:
        usage = call.answer.usage
    for parts in (
        [summary.model, provider, one_line(record.client, 40), attempts],
        [*times, usage_text(usage)],
    ):
        if any(parts):
            page.line("  " + " · ".join(part for part in parts if part), hanging="    ")
    if summary.verdict in (Verdict.FAILED, Verdict.TIMED_OUT):
        _add_failure(record, events, page)


def _add_failure(record: CallRecord, events: int, page: Page) -> None:
    """Add the provider's words, and what the client received instead of an answer."""
    words = words_of_failure(record)
    if words:
        page.line(one_line(words, 600), "  ", "  ")
    page.line(f"the client received {received_instead(record, events)}", "  ", "    ")


def _add_outcome_without_record(call: ViewedCall, page: Page) -> None:
    response = call.response
    status = f"status {response.status}" if response is not None else "no response"
    page.line(f"{status}; wiremend did not carry this call, so there are no findings")
    if call.error:
        page.line(one_line(call.error, 300), "  ")
    if call.answer is not None:
        parts = [one_line(call.answer.model, 80), usage_text(call.answer.usage)]
        if any(parts):
            page.line("  " + " · ".join(part for part in parts if part), hanging="    ")


def usage_text(usage: Usage | StoredUsage) -> str:
    """Return token counts, such as `1,234 (1,000 cached) → 56 tokens`."""
    if usage.input_tokens is None and usage.output_tokens is None:
        return ""
    cached = [
        f"{usage.cached_tokens:,} cached" if usage.cached_tokens else "",
        f"{usage.cache_write_tokens:,} written to the cache" if usage.cache_write_tokens else "",
    ]
    reasoning = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    inside = ", ".join(part for part in cached if part)
    before = "?" if usage.input_tokens is None else f"{usage.input_tokens:,}"
    after = "?" if usage.output_tokens is None else f"{usage.output_tokens:,}"
    unit = "token" if after == "1" else "tokens"
    return f"{before}{f' ({inside})' if inside else ''} → {after}{reasoning} {unit}"


def add_what_was_done(call: ViewedCall, page: Page) -> None:
    """Add the findings folded by rule, and the attempts if there were several."""
    record = call.record
    if record is None:
        return
    if record.findings:
        page.heading("what was wrong, and what was done")
        add_findings(record.findings, call.rule_names, page)
    if len(record.attempts) > 1:
        page.heading(f"{len(record.attempts)} attempts")
        add_attempts(record, page)


def _is_worth_a_timeline(record: CallRecord) -> bool:
    return record.outcome is not CallState.ANSWERED and len(record.attempts) <= 1


# The answer


def _add_answer(call: ViewedCall, page: Page, detail: Detail) -> None:
    response, answer = call.response, call.answer
    if response is None:
        page.line("There is no response." if call.error else "There is no response yet.")
        return
    if response.body is None:
        page.line("The body was not kept.")
        return
    if answer is None:
        page.block(response.body[:100_000].decode("utf-8", "replace"))
        return
    if not answer.parts and answer.failure is None:
        page.line("  (empty)")
    add_parts(answer.parts, page, detail)
    if answer.is_cut_short:
        page.line(f"  … read up to here; the body has {size_text(len(response.body))}")
    elif answer.failure is not None:
        is_own = call.record is not None and is_own_error(call.record)
        page.line(_error_line(answer.failure, response.status, is_own=is_own), "  ", "    ")
    elif answer.stop is not None:
        word = one_line(answer.stop.word or answer.stop.reason.value, 60)
        page.line()
        page.line(f"  stop: {word}")
    elif not answer.is_complete:
        is_running = call.record is not None and verdict_of(call.record) is Verdict.RUNNING
        page.line("  … more is to come" if is_running else "  ✗ it ends here, incomplete")


def _error_line(error: ProviderError, status: int, *, is_own: bool) -> str:
    """Return an error; in a stream, which has another status, its status is only inferred."""
    name = "error from wiremend" if is_own else "error"
    shown = [str(error.status)] if status == error.status else []
    kind = one_line(error.type or error.code, 80)
    return f"{' '.join([name, *shown, kind])}: {one_line(error.message, 600)}"


# The request


def _add_facts(conversation: Conversation, page: Page) -> None:
    page.heading("request")
    choice = conversation.choice
    facts = [
        one_line(conversation.model, 80),
        "stream" if conversation.stream else "no stream",
        *_parameters(conversation.parameters),
        *_reasoning(conversation),
        f"tool choice {choice.mode.value}" if choice is not None else "",
        f"format {conversation.format.kind.value}" if conversation.format is not None else "",
        f"session {one_line(conversation.session, _SESSION_LIMIT)}" if conversation.session else "",
    ]
    page.line("  " + " · ".join(fact for fact in facts if fact), hanging="    ")


def _parameters(parameters: Parameters) -> list[str]:
    named = {
        "max tokens": parameters.max_output_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "top_k": parameters.top_k,
        "seed": parameters.seed,
        "parallel calls": parameters.parallel_calls,
    }
    return [f"{name} {value}" for name, value in named.items() if value is not None]


def _reasoning(conversation: Conversation) -> list[str]:
    reasoning = conversation.reasoning
    parts = [
        reasoning.mode.value if reasoning.mode is not None else "",
        one_line(reasoning.effort, 20),
        f"up to {reasoning.budget_tokens:,} tokens" if reasoning.budget_tokens is not None else "",
    ]
    shown = " ".join(part for part in parts if part)
    return [f"thinking {shown}"] if shown else []


def _add_system_and_tools(conversation: Conversation, page: Page) -> None:
    if conversation.system:
        text = system_text(conversation)
        page.heading(f"system ({len(text):,} characters)")
        page.block(text, most_lines=_SYSTEM_LINES)
    if conversation.tools:
        page.heading(counted(len(conversation.tools), "tool"))
        for server, tools in tools_by_server(conversation.tools).items():
            names = ", ".join(one_line(tool_name(tool), 80) for tool in tools[:_TOOLS_LIMIT])
            more = f", … {len(tools) - _TOOLS_LIMIT} more" if len(tools) > _TOOLS_LIMIT else ""
            title = f"{one_line(server, 60)} ({len(tools)}): " if server else ""
            page.line(f"  {title}{names}{more}", hanging="    ")


def tools_by_server(tools: tuple[Tool, ...]) -> dict[str, list[Tool]]:
    """Return the tools by the MCP server, or the namespace, in their names; first those of none."""
    by_server: dict[str, list[Tool]] = {"": []}
    for tool in tools:
        by_server.setdefault(server_of(tool), []).append(tool)
    return {server: found for server, found in by_server.items() if found}


def server_of(tool: Tool) -> str:
    """Return the MCP server of a tool: agents name tools `mcp__SERVER__TOOL`."""
    if tool.namespace:
        return tool.namespace
    server, separator, _ = tool.name.removeprefix(_MCP_PREFIX).partition(_MCP_SEPARATOR)
    return server if separator and tool.name.startswith(_MCP_PREFIX) else ""


def tool_name(tool: Tool) -> str:
    """Return the name of a tool without its MCP server."""
    server = server_of(tool)
    prefix = f"{_MCP_PREFIX}{server}{_MCP_SEPARATOR}"
    name = tool.name.removeprefix(prefix) if server else tool.name
    return name or tool.type


def tool_size(tool: Tool) -> int:
    """Return how many characters the definition of a tool has, about."""
    schema = len(json_value.write(dict(tool.schema))) if tool.schema is not None else 0
    return len(tool.name) + len(tool.description) + len(tool.grammar) + schema


def _add_messages(conversation: Conversation, page: Page) -> None:
    turns = conversation.turns
    names = names_by_call(turns)
    page.heading(counted(len(turns), "message"))
    recent = max(0, len(turns) - _RECENT_TURNS)
    first = max(0, recent - _OLD_TURNS)
    if first:
        page.line(f"… {first} earlier messages: view conversation")
    add_turns(turns[first:recent], page, OLD, names, first + 1)
    add_turns(turns[recent:], page, RECENT, names, recent + 1)
