"""`set`, `drop` and `rename` of the configuration, applied to a request's body."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wiremend.adapt.lessons import Lesson
from wiremend.adapt.passes import AdaptedRequest, adapt_request
from wiremend.adapt.rejection_recovery import AdaptedRequests
from wiremend.protocols.base.document import OutgoingRequest, RequestDocument
from wiremend.protocols.base.provider_error import make_error
from wiremend.protocols.base.traits import FieldChanges, TargetTraits
from wiremend.protocols.chat import CHAT


def outgoing(body: str) -> OutgoingRequest:
    document = RequestDocument.of(CHAT, "/v1/chat/completions", body.encode())
    return OutgoingRequest("p", "m", "https", "p.example", 443, document)


def changed(body: str, *changes: FieldChanges, **options: Any) -> AdaptedRequest:
    return adapt_request(outgoing(body), TargetTraits(changes=changes), **options)


SET = [
    # case, what is set, before, after
    ("a field that is absent", {"top_k": 1}, '{"n":1.50}', '{"n":1.50,"top_k":1}'),
    ("a field in an empty object", {"a": 1, "b": 2}, "{ }", '{"a":1,"b":2 }'),
    ("another value", {"temperature": 0.2}, '{ "temperature": 1 ,"n":1.50}',
     '{ "temperature": 0.2 ,"n":1.50}'),
    ("the same value", {"a": 1, "b": {"c": [True]}}, '{"a":1 ,"b":{"c":[ true ]}}',
     '{"a":1 ,"b":{"c":[ true ]}}'),
    ("a number of another type", {"a": 1.0}, '{"a":1}', '{"a":1.0}'),
    ("a path", {"reasoning.effort": "high"}, '{"reasoning":{"summary":"auto","effort":"low"}}',
     '{"reasoning":{"summary":"auto","effort":"high"}}'),
    ("a nested table", {"reasoning": {"effort": "high"}}, '{"reasoning":{"summary":"auto"}}',
     '{"reasoning":{"summary":"auto","effort":"high"}}'),
    ("objects that are absent", {"a.b.c": 1, "a.b.d": 2, "a": {"e": 3}}, "{}",
     '{"a":{"b":{"c":1,"d":2},"e":3}}'),
    ("an object in place of null", {"a.b": 1}, '{"a":null}', '{"a":{"b":1}}'),
    ("an empty table", {"a": {}}, '{"a":{"b":1}}', '{"a":{}}'),
    ("every item", {"tools.*.strict": False}, '{"tools":[{"strict":true},{},1,"x"]}',
     '{"tools":[{"strict":false},{"strict":false},1,"x"]}'),
    ("every member", {"a.*.b": 1}, '{"a":{"x":{},"y":{"b":0}}}', '{"a":{"x":{"b":1},"y":{"b":1}}}'),
    ("one item", {"a.1": 5, "a.7": 6}, '{"a":[1,2]}', '{"a":[1,5]}'),
    ("one item otherwise than all", {"a.*.b": 1, "a.0.b": 2}, '{"a":[{},{}]}',
     '{"a":[{"b":2},{"b":1}]}'),
    ("items that do not exist", {"a.*.b": 1}, '{"n":1}', '{"n":1}'),
    ("a list", {"a": [1, {"b": None}]}, "{}", '{"a":[1,{"b":null}]}'),
    ("no object", {"a": 1}, "[1]", "[1]"),
    ("no JSON", {"a": 1}, "{no", "{no"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "before", "after"), [pytest.param(*r[1:], id=r[0]) for r in SET]
)
def test_fields_are_set(wanted: dict[str, Any], before: str, after: str) -> None:
    adapted = changed(before, FieldChanges(set=wanted))
    assert adapted.request.body.decode() == after
    assert {finding.code for finding in adapted.findings} == (
        {"T306"} if before != after else set()
    )
    again = changed(after, FieldChanges(set=wanted))
    assert again.request.body.decode() == after


DROPPED = [
    (["a", "b"], '{"a":1, "b":2,"c":1.50}', '{"c":1.50}'),
    (["a.b"], '{"a":{"b":1}}', '{"a":{}}'),
    (["a", "a.b"], '{"a":{"b":1},"c":0}', '{"c":0}'),
    (["m.*.name"], '{"m":[{"name":1,"x":2},{"y":3},4]}', '{"m":[{"x":2},{"y":3},4]}'),
    (["p.*.default"], '{"p":{"a":{"default":1},"b":{}}}', '{"p":{"a":{},"b":{}}}'),
    (["m.0"], '{"m":[1,2]}', '{"m":[2]}'),
    (["x", "a.b.c", "m.*"], '{"a":{"b":1}}', '{"a":{"b":1}}'),
]


@pytest.mark.parametrize(("paths", "before", "after"), DROPPED)
def test_fields_are_dropped(paths: list[str], before: str, after: str) -> None:
    adapted = changed(before, FieldChanges(drop=tuple(paths)))
    assert adapted.request.body.decode() == after
    assert bool(adapted.findings) == (before != after)


RENAMED = [
    ({"max_tokens": "max_completion_tokens"}, '{"max_tokens": 64 ,"n":1}',
     '{"max_completion_tokens": 64 ,"n":1}'),
    ({"a": "b"}, '{"a":1,"b":2}', '{"b":2}'),
    ({"metadata.user_id": "user"}, '{"metadata":{"user_id":"u"},"n":1.50}',
     '{"metadata":{},"n":1.50,"user":"u"}'),
    ({"temperature": "options.temperature"}, '{"temperature":1.50}',
     '{"options":{"temperature":1.50}}'),
    ({"m.*.reasoning_content": "m.*.reasoning"}, '{"m":[{"reasoning_content":"x"},{"c":1}]}',
     '{"m":[{"reasoning":"x"},{"c":1}]}'),
    ({"m.*.a": "m.*.b.c"}, '{"m":[{"a":1},{"a":2,"b":{}}]}',
     '{"m":[{"b":{"c":1}},{"b":{"c":2}}]}'),
    ({"a": "b", "c": "a"}, '{"a":1,"c":2}', '{"b":1,"a":2}'),
    ({"x": "y"}, '{"a":1}', '{"a":1}'),
]  # fmt: skip


@pytest.mark.parametrize(("paths", "before", "after"), RENAMED)
def test_fields_are_renamed(paths: dict[str, str], before: str, after: str) -> None:
    adapted = changed(before, FieldChanges(rename=paths))
    assert adapted.request.body.decode() == after
    assert bool(adapted.findings) == (before != after)


def test_the_order_is_rename_drop_set_and_the_route_after_the_provider() -> None:
    provider = FieldChanges(rename={"a": "b"}, drop=("b",), set={"c": 1, "d": 1})
    route = FieldChanges(rename={"c": "e"}, set={"d": 2})
    adapted = changed('{"a":0,"n":0}', provider, route)
    assert orjson.loads(adapted.request.body) == {"n": 0, "e": 1, "d": 2}


def test_a_replaced_object_keeps_none_of_its_members() -> None:
    changes = FieldChanges(drop=("thinking",), set={"thinking": {"type": "disabled"}})
    adapted = changed('{"thinking":{"type":"enabled","budget_tokens":1}}', changes)
    assert orjson.loads(adapted.request.body) == {"thinking": {"type": "disabled"}}


def test_the_changes_come_after_all_other_passes() -> None:
    changes = FieldChanges(set={"metadata": 1})
    adapted = changed('{"n":1,"metadata":0}', changes, lessons=[Lesson("field", "metadata")])
    assert orjson.loads(adapted.request.body) == {"n": 1, "metadata": 1}
    assert [finding.code for finding in adapted.findings] == ["T303", "T306"]


def test_a_disabled_rule_changes_nothing() -> None:
    request = outgoing('{"a":1}')
    traits = TargetTraits(changes=(FieldChanges(drop=("a",)),))
    assert adapt_request(request, traits, disabled={"T306"}).request is request


def test_the_request_as_the_client_wrote_it_has_the_configured_fields() -> None:
    body = '{"tools":[{"type":"function","function":{"name":"x"}}],"user":"u"}'
    traits = TargetTraits(changes=(FieldChanges(drop=("user",)),))
    requests = AdaptedRequests()
    requests.add(outgoing(body), traits)
    assert b"parameters" in requests.at(0).request.body
    [finding] = requests.amend(0, make_error(status=400, message="something else"))
    assert finding.code == "T302"
    sent = requests.at(0).request.body
    assert orjson.loads(sent) == {"tools": [{"type": "function", "function": {"name": "x"}}]}
    assert requests.amend(0, make_error(status=400, message="something else")) == []


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=8,
)
_PATHS = st.lists(st.sampled_from(["a", "b", "c", "0", "*"]), min_size=1, max_size=4).map(".".join)


@given(
    body=st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3),
    wanted=st.dictionaries(_PATHS, _VALUES, max_size=4),
    dropped=st.lists(_PATHS, max_size=3),
)
def test_any_change_leaves_json_and_is_applied_once(
    body: dict[str, Any], wanted: dict[str, Any], dropped: list[str]
) -> None:
    text = orjson.dumps(body).decode()
    adapted = changed(text, FieldChanges(drop=tuple(dropped), set=wanted))
    assert isinstance(orjson.loads(adapted.request.body), dict)
    without_set = changed(text, FieldChanges(drop=tuple(dropped)))
    assert changed(without_set.request.body.decode(), FieldChanges(set=wanted)).request.body == (
        adapted.request.body
    )
