"""A request's messages and parameters as its target wants them: the rules in their order.

Each rule looks at what the one before it left. A request that needs nothing is parsed once and
returned as the same bytes; one that does is edited by spans, rule by rule.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

from wiremend.protocols.anthropic import history as anthropic_history
from wiremend.protocols.base import parameters as request_parameters
from wiremend.protocols.base import request_rules as rules
from wiremend.protocols.base.document import RequestMending
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.traits import MessageTraits
from wiremend.protocols.chat import history as chat_history
from wiremend.protocols.gemini import history as gemini_history
from wiremend.protocols.responses import history as responses_history
from wiremend.rules.rule import Finding, Rule
from wiremend.text.json_edits import Edits, parse

Mend = Callable[[RequestMending, dict[str, Any], MessageTraits], None]

_MENDS: Mapping[str, tuple[tuple[Rule, Mend], ...]] = {
    WireProtocol.ANTHROPIC_MESSAGES: (
        (rules.SYSTEM_IN_MESSAGES, anthropic_history.say_system_as_user),
        (rules.FOREIGN_THINKING, anthropic_history.drop_foreign_thinking),
        (rules.THINKING_CACHE_CONTROL, anthropic_history.strip_thinking_cache_control),
        (rules.CACHE_CONTROL, request_parameters.strip_cache_control),
        (rules.EMPTY_SYSTEM, anthropic_history.drop_empty_system),
        (rules.EMPTY_TEXT, anthropic_history.drop_empty_text),
        (rules.EMPTY_MESSAGE, anthropic_history.drop_empty_messages),
        (rules.RESULT_WITHOUT_CALL, anthropic_history.drop_orphan_results),
        (rules.CALL_WITHOUT_RESULT, anthropic_history.add_missing_results),
        (rules.RESULTS_NOT_FIRST, anthropic_history.put_results_first),
        (rules.EMPTY_MESSAGE, anthropic_history.drop_empty_messages),
        (rules.TRAILING_SPACE, anthropic_history.trim_trailing_space),
        (rules.CALL_ID, request_parameters.fit_call_ids),
        (rules.SAMPLING_PAIR, request_parameters.drop_sampling_pair),
        (rules.TOKEN_LIMIT, request_parameters.lower_token_limit),
    ),
    WireProtocol.CHAT_COMPLETIONS: (
        (rules.CACHE_CONTROL, request_parameters.strip_cache_control),
        (rules.RESULT_WITHOUT_CALL, chat_history.drop_orphan_results),
        (rules.RESULTS_NOT_FIRST, chat_history.put_results_first),
        (rules.CALL_WITHOUT_RESULT, chat_history.add_missing_results),
        (rules.EMPTY_MESSAGE, chat_history.drop_empty_messages),
        (rules.REASONING_MISSING, chat_history.fill_reasoning_of_calls),
        (rules.REASONING_NOT_PASSED_BACK, chat_history.fill_all_reasoning),
        (rules.CALL_ID, request_parameters.fit_call_ids),
        (rules.SAMPLING_PAIR, request_parameters.drop_sampling_pair),
        (rules.SAMPLING_REFUSED, request_parameters.drop_refused_sampling),
        (rules.TOKEN_LIMIT_NAME, request_parameters.rename_token_limit),
        (rules.TOKEN_LIMIT, request_parameters.lower_token_limit),
    ),
    WireProtocol.RESPONSES: (
        (rules.ORPHAN_REASONING, responses_history.drop_orphan_reasoning),
        (rules.RESULT_WITHOUT_CALL, responses_history.drop_orphan_results),
        (rules.CALL_WITHOUT_RESULT, responses_history.add_missing_results),
        (rules.CALL_ID, request_parameters.fit_call_ids),
        (rules.SAMPLING_REFUSED, request_parameters.drop_refused_sampling),
        (rules.TOKEN_LIMIT, request_parameters.lower_token_limit),
    ),
    WireProtocol.GEMINI: (
        (rules.EMPTY_TEXT, gemini_history.drop_empty_text),
        (rules.RESULT_WITHOUT_CALL, gemini_history.drop_orphan_results),
        (rules.CALL_WITHOUT_RESULT, gemini_history.add_missing_results),
        (rules.EMPTY_MESSAGE, gemini_history.drop_empty_messages),
        (rules.THOUGHT_SIGNATURE_MISSING, gemini_history.mark_unsigned_calls),
        (rules.TOKEN_LIMIT, request_parameters.lower_token_limit),
    ),
}
"""Order counts: what empties a message comes before what looks for empty ones, and a message
that may be empty at the end may not be once a result was added behind it."""


@dataclass(slots=True)
class MendedRequest:
    """What a request body became; the same object where nothing changed."""

    body: bytes
    findings: list[Finding] = field(default_factory=list)


def mend_messages(
    protocol: str, body: bytes, traits: MessageTraits, *, disabled: Set[str] = frozenset()
) -> MendedRequest:
    """The request as a target with these traits wants it; untouched if it is no JSON object.

    `disabled` holds codes of rules that are off whatever the traits say.
    """
    mended = MendedRequest(body)
    mends = [mend for rule, mend in _MENDS[protocol] if rule.code in traits.rules - disabled]
    if not mends:
        return mended
    try:
        request = parse(body)
    except ValueError:
        return mended
    if not isinstance(request, dict):
        return mended
    for mend in mends:
        mending = RequestMending(protocol, Edits(mended.body))
        mend(mending, request, traits)
        mended.findings += mending.findings
        changed = mending.edits.apply()
        if changed is not mended.body:
            mended.body = changed
            request = parse(changed)
    return mended
