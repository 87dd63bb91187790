"""A body that orjson reads has no lone surrogates, so that it need not be searched for them."""

from hypothesis import given
from hypothesis import strategies as st
from wiremend.protocols.base.message_rules.conversation import _lone_surrogates
from wiremend.text.json_edits import parse_noting_surrogates

PIECES = st.sampled_from(
    [
        *(r"\ud83d", r"\ude00", r"\uD83D", r"\uDE00", r"\udfff", r"\udbff", r"\udc00"),
        *(r"\u0041", r"\ue000", r"\ud7ff", r"\\", r"\n", r"\"", "\\\\u", "ud83d", "a", "é", "😀"),
    ]
)


@given(st.lists(PIECES, max_size=8), st.booleans())
def test_every_text_with_lone_surrogates_is_noted(pieces: list[str], is_key: bool) -> None:
    text = '"' + "".join(pieces) + '"'
    body = (f"{{{text}:1}}" if is_key else f'{{"a":[{text}]}}').encode()
    _, may_have_lone_surrogates = parse_noting_surrogates(body)
    assert may_have_lone_surrogates == bool(list(_lone_surrogates(body)))
