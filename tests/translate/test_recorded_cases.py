"""The failures of other translators that are on record, each with what asserts the right result."""

from collections.abc import Callable
from functools import partial

import pytest
from engine import test_translated_calls as calls
from protocols.gemini import test_middle_requests as gemini
from wiremend.engine.actions import Respond
from wiremend.protocols.anthropic import ANTHROPIC
from wiremend.protocols.base.middle.state import Origin, State, seal
from wiremend.protocols.chat import CHAT
from wiremend.protocols.gemini import GEMINI
from wiremend.protocols.responses import RESPONSES
from wiremend.testing import answers
from wiremend.translate.answer import Direction

from translate import test_envelope as envelope
from translate import test_failure_cases as chat
from translate import test_responses_cases as responses
from translate import test_returned_state as returned
from translate.directions import sent, through, translated, violations, whole

type Check = Callable[[], None]


def an_image_of_a_result_is_in_the_output() -> None:
    history = chat.anthropic_request("Look.", [chat.use()], [chat.result(content=[chat.IMAGE])])
    *_, output = sent(ANTHROPIC, history, RESPONSES)["input"]
    url = "data:image/png;base64,iVBORw0K"
    assert output["output"] == [{"type": "input_image", "image_url": url, "detail": "auto"}]


def the_state_is_that_of_the_finished_item() -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAtrue"}
    stream = responses.responses_stream(item, responses.message("assistant", "Hi") | {"id": "m"})
    placeholder = stream.replace(b"gAAAAtrue", b"gAAAAfalse", 1)
    assert placeholder.index(b"gAAAAfalse") < placeholder.index(b"output_item.done")
    data, _ = through(Direction(RESPONSES, ANTHROPIC), [placeholder])
    thinking, text = whole(ANTHROPIC, data)["content"]
    request = chat.anthropic_request("Hi", [thinking, text], "More.")
    assert sent(ANTHROPIC, request, RESPONSES)["input"][1]["encrypted_content"] == "gAAAAtrue"


def state_of_another_host_is_not_sent() -> None:
    issuer = Origin(RESPONSES.name, "api.openai.com", "gpt-5")
    sealed = seal(State(issuer, {"encrypted_content": "gAAAAforeign"}))
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": sealed}
    request = chat.anthropic_request("Hi", [thinking, chat.text("Yes.")], "More.")
    there = translated(ANTHROPIC, request, RESPONSES)
    assert b"reasoning" not in there.body
    assert b"gAAAA" not in there.body
    assert "X106" in chat.codes(there)


def calls_of_gemini_end_the_turn_for_its_tools() -> None:
    call = {"functionCall": {"name": "read", "args": {}}}
    candidate = {"content": {"role": "model", "parts": [call]}, "finishReason": "STOP", "index": 0}
    stream = b"".join(GEMINI.unfold({"candidates": [candidate], "modelVersion": "m"}))
    for_anthropic, _ = through(Direction(GEMINI, ANTHROPIC), [stream])
    for_chat, _ = through(Direction(GEMINI, CHAT), [stream])
    assert whole(ANTHROPIC, for_anthropic)["stop_reason"] == "tool_use"
    assert whole(CHAT, for_chat)["choices"][0]["finish_reason"] == "tool_calls"


def the_bytes_decide_what_an_answer_is() -> None:
    machine = calls.machine_of()
    calls.begin(machine, calls.JSON)
    actions = machine.body(1, answers.json_body(CHAT.name)) + machine.body_end(1)
    assert violations(ANTHROPIC, calls.shown(actions)) == []
    machine = calls.machine_of(streaming=False)
    calls.begin(machine)
    events = b"".join(answers.text_stream(CHAT.name).events)
    actions = machine.body(1, events) + machine.body_end(1)
    [body] = [one.body for one in actions if isinstance(one, Respond)] or [calls.shown(actions)]
    assert body.startswith(b'{"id":"msg_')


def is_a_document(*, is_taken: bool) -> Check:
    return partial(chat.test_a_document_is_sent_or_a_note, is_taken)


def thinking(name: str) -> Check:
    asked, expected = chat.THINKING[name]
    return partial(chat.test_reasoning_is_switched_in_the_words_of_the_provider, asked, expected)


CASES: dict[int, tuple[str, tuple[Check, ...]]] = {
    1: ("the billing line is not sent", (chat.test_the_changing_billing_line_is_not_sent,)),
    2: (
        "images of users and results are sent, or a note",
        (
            chat.test_an_image_of_the_user_is_sent,
            chat.test_an_image_in_a_result_follows_all_results,
            chat.test_an_image_that_the_target_does_not_take_becomes_a_note,
        ),
    ),
    3: ("an image in an output for Responses", (an_image_of_a_result_is_in_the_output,)),
    4: ("text beside a result is kept", (chat.test_text_beside_a_result_is_kept_behind_it,)),
    5: ("results come first", (chat.test_text_beside_a_result_is_kept_behind_it,)),
    6: (
        "nothing is between a call and its result",
        (
            responses.test_messages_between_a_call_and_its_output_do_not_separate_them,
            chat.test_a_message_between_call_and_result_joins_the_assistant_s,
        ),
    ),
    7: (
        "no empty assistant messages",
        (
            chat.test_an_empty_assistant_message_is_not_sent,
            responses.test_no_empty_messages_are_sent_to_responses,
        ),
    ),
    8: ("text beside calls is kept", (chat.test_text_beside_calls_is_kept,)),
    9: (
        "a PDF is sent, or a note",
        (is_a_document(is_taken=True), is_a_document(is_taken=False)),
    ),
    10: (
        "a result without its call is text",
        (
            chat.test_a_result_without_its_call_becomes_text,
            responses.test_an_output_without_its_call_is_text,
            gemini.test_a_result_without_a_call_is_text,
        ),
    ),
    11: (
        "ids are fitted",
        (
            partial(chat.test_an_id_that_anthropic_rejects_is_fitted, "functions.read:0"),
            gemini.test_ids_of_other_characters_are_restored_or_fitted_and_differ,
        ),
    ),
    12: (
        "`defer_loading` is not sent",
        (chat.test_a_deferred_tool_is_sent_whole_and_its_reference_as_text,),
    ),
    13: (
        "namespaces and custom tools are functions",
        (
            partial(responses.test_custom_and_namespaced_tools_become_functions, ANTHROPIC),
            partial(responses.test_custom_and_namespaced_tools_become_functions, CHAT),
            partial(responses.test_calls_of_custom_tools_are_in_the_history, ANTHROPIC),
        ),
    ),
    14: (
        "the namespace of a call is restored",
        (responses.test_a_call_of_a_namespaced_function_has_its_namespace,),
    ),
    15: (
        "tools that an item defines are read",
        (responses.test_tools_that_an_item_defines_are_read,),
    ),
    16: (
        "calls of custom tools are restored",
        (
            responses.test_a_call_of_a_namespaced_custom_tool_has_its_own_words,
            chat.test_a_custom_tool_is_a_function_and_its_call_is_restored,
        ),
    ),
    17: (
        "the keyword `encrypted` is not sent",
        (responses.test_the_keyword_encrypted_is_not_sent,),
    ),
    18: (
        "a call starts with its name",
        (chat.test_a_call_whose_name_comes_later_is_started_with_it,),
    ),
    19: (
        "no choice without tools",
        (
            partial(chat.test_a_choice_without_tools_is_left_out, []),
            gemini.test_a_choice_without_tools_is_left_out,
        ),
    ),
    20: (
        "the format of the output is kept",
        (
            responses.test_structured_output_and_choices_are_carried,
            chat.test_a_format_of_the_output_is_kept,
        ),
    ),
    21: (
        "both forms of stop strings and limits are read",
        (
            partial(
                chat.test_both_forms_of_stop_and_limit_are_read,
                {"stop": ["x", "y"], "max_tokens": 9},
                ["x", "y"],
                9,
            ),
            partial(
                chat.test_both_forms_of_stop_and_limit_are_read,
                {"max_completion_tokens": 7},
                None,
                7,
            ),
        ),
    ),
    22: ("reasoning text is thinking", (responses.test_reasoning_text_is_thinking,)),
    23: (
        "turns of one role are merged",
        (
            chat.test_adjacent_messages_of_the_user_are_merged,
            gemini.test_roles_alternate_and_the_user_begins_and_ends,
        ),
    ),
    24: (
        "sampling is limited to what Claude accepts",
        (chat.test_sampling_is_limited_to_what_claude_accepts,),
    ),
    25: (
        "a refusal stays one",
        (
            partial(chat.test_a_stop_reason_keeps_its_meaning, "content_filter", "refusal"),
            partial(chat.test_a_finish_reason_keeps_its_meaning, "refusal", "content_filter"),
            responses.test_a_refusal_is_a_refusal,
        ),
    ),
    26: (
        "a limit is an incomplete response",
        (
            responses.test_a_length_is_an_incomplete_response,
            responses.test_an_incomplete_response_is_a_limit,
        ),
    ),
    27: (
        "one message delta with the true counts",
        (chat.test_there_is_one_message_delta_with_the_true_counts,),
    ),
    28: (
        "the prompt is estimated at the start, and counted at the end",
        (
            chat.test_the_message_starts_with_an_estimate_of_its_prompt,
            chat.test_there_is_one_message_delta_with_the_true_counts,
        ),
    ),
    29: (
        "counts are disjoint, and sent once",
        (
            chat.test_the_counts_of_a_completion_include_the_cache,
            chat.test_there_is_one_message_delta_with_the_true_counts,
        ),
    ),
    30: ("usage has all details", (responses.test_usage_has_all_details,)),
    31: (
        "one thinking block for an item, with its final state",
        (
            responses.test_summaries_of_one_reasoning_item_are_one_thinking_block,
            the_state_is_that_of_the_finished_item,
        ),
    ),
    32: (
        "no foreign signature reaches Anthropic",
        (
            chat.test_placeholder_reasoning_is_not_sent_as_signed_thinking,
            partial(returned.test_an_envelope_is_removed, *returned.CASES["Anthropic"]),
        ),
    ),
    33: ("no foreign encrypted state is sent", (state_of_another_host_is_not_sent,)),
    34: (
        "every name of reasoning is read",
        tuple(
            partial(chat.test_every_name_of_reasoning_is_read, key)
            for key in ("reasoning_content", "reasoning", "reasoning_text")
        ),
    ),
    35: (
        "reasoning is returned, or the placeholder",
        (
            envelope.test_reasoning_returns_to_the_provider_that_gave_it,
            envelope.test_a_lost_reasoning_that_the_provider_requires_becomes_its_placeholder,
        ),
    ),
    36: (
        "reasoning belongs to the message behind it",
        (responses.test_reasoning_belongs_to_the_message_behind_it,),
    ),
    37: ("thinking is switched on where GLM requires it", (thinking("enabled, as GLM requires"),)),
    38: (
        "no effort beside thinking that is off",
        (thinking("off, without an effort, which DeepSeek rejects"),),
    ),
    39: (
        "a forced choice switches reasoning off",
        tuple(
            partial(chat.test_a_forced_choice_switches_reasoning_off_where_both_are_rejected, kind)
            for kind in ("any", "tool")
        ),
    ),
    40: ("one system message", (chat.test_two_system_texts_are_one_message,)),
    41: (
        "Gemini's signature is at the first of parallel calls, all in one content",
        (
            gemini.test_a_signature_returns_to_its_call_and_the_others_have_none,
            gemini.test_parallel_calls_are_one_content_and_results_follow_in_their_order,
        ),
    ),
    42: (
        "ids for Gemini's calls are the same in each turn",
        (gemini.test_calls_without_ids_have_the_same_ids_in_later_requests,),
    ),
    43: (
        "images follow Gemini's results",
        (
            gemini.test_a_user_s_text_and_images_follow_the_results,
            gemini.test_images_of_several_results_are_named_behind_all_of_them,
        ),
    ),
    44: ("STOP with calls is a call of tools", (calls_of_gemini_end_the_turn_for_its_tools,)),
    45: (
        "a search that is not possible is the error of its tool",
        (chat.test_a_search_of_claude_code_gets_the_error_of_its_tool,),
    ),
    46: (
        "a compaction is one item",
        (
            partial(responses.test_a_compaction_is_one_item_that_any_provider_can_read, CHAT),
            partial(responses.test_a_compaction_is_one_item_that_any_provider_can_read, ANTHROPIC),
        ),
    ),
    47: ("lost calls are an error", (chat.test_an_answer_without_its_calls_is_an_error,)),
    48: ("the bytes decide what an answer is", (the_bytes_decide_what_an_answer_is,)),
    49: (
        "keep-alives are in the client's form",
        tuple(
            partial(
                calls.test_after_a_keep_alive_a_rejection_is_an_error_event_of_the_client, client
            )
            for client in (ANTHROPIC, CHAT, RESPONSES, GEMINI)
        ),
    ),
    50: (
        "a tool of the provider is a finding, or a refusal",
        (
            chat.test_a_tool_of_the_provider_is_dropped_beside_others,
            partial(
                chat.test_what_changes_the_meaning_is_answered_with_an_error,
                {"tools": [{"type": "web_search_20250305", "name": "web_search"}]},
            ),
        ),
    ),
    51: (
        "calls of a Responses provider are calls",
        (responses.test_calls_of_a_responses_provider_are_tool_use,),
    ),
    52: (
        "missing parameters are an empty schema",
        (
            chat.test_a_tool_without_a_schema_has_an_empty_one,
            partial(
                responses.test_a_function_without_parameters_has_an_empty_schema,
                {"parameters": None},
            ),
        ),
    ),
    53: (
        "ids contain no signatures",
        (chat.test_an_id_in_a_form_that_the_provider_requires_returns_to_it,),
    ),
    54: (
        "the client's text follows the results",
        (chat.test_text_of_the_client_before_results_follows_them,),
    ),
}


@pytest.mark.parametrize(
    "checks",
    [checks for _, checks in CASES.values()],
    ids=[f"{number}: {name}" for number, (name, _) in CASES.items()],
)
def test_the_failure_does_not_happen_here(checks: tuple[Check, ...]) -> None:
    for check in checks:
        check()


def test_every_case_has_a_row() -> None:
    assert list(CASES) == list(range(1, 55))
