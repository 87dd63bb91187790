"""The formats in which models write tool calls as text: from text to calls.

A provider is expected to parse these formats. If it does not, they leak into the text of the
response. Each format has a name, which the configuration uses.

A reader takes the text of one section from a position on. It advances only, and finds the end of a
value with `str.find`, so the time is linear. Values are not unescaped: none of the formats escapes.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from wiremend.text import json_value
from wiremend.text.json_value import dicts_in
from wiremend.text.patterns import linear_pattern

_SPACE = linear_pattern(r"\s*+")
_NAME = linear_pattern(r"[\w.:/@-]{1,200}+")
_INDEX_OF_KIMI = linear_pattern(r":[0-9]{1,6}+\Z")
_LONGEST_KEY = 200
"""The longest name of an argument, in characters."""


class NotACall(Exception):
    """The text is no call in this format. The argument is a reason for findings."""


class NotOffered(NotACall):
    """The call is of a tool that the request does not offer. The argument is its name."""


class TextEnds(Exception):
    """The text is the beginning of a section, and ends before the section does."""


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call as the model wrote it."""

    name: str
    arguments: Mapping[str, Any]
    untyped: frozenset[str] = frozenset()
    """The names of the arguments that were written as text, whatever their type."""


class SectionReader:
    """The position in a text from which a section is read."""

    def __init__(
        self,
        text: str,
        position: int = 0,
        offered: Container[str] | None = None,
        *,
        stops_at_name: bool = False,
    ) -> None:
        """`offered` are the names that calls may have; None: any.

        `stops_at_name`: reading ends in `TextEnds` once the name of the first call is known.
        """
        self.text = text
        self.position = position
        self.name = ""
        """The name of the last call whose beginning was read."""
        self.end = ""
        """The marker that ends the section; set when the section's beginning was read."""
        self._offered = offered
        self._stops_at_name = stops_at_name

    def take(self, *markers: str) -> str:
        """Read one of these markers. Raises NotACall, or TextEnds if the text may become one."""
        for marker in markers:
            if self.text.startswith(marker, self.position):
                self.position += len(marker)
                return marker
        longest = max(map(len, markers))
        rest = self.text[self.position : self.position + longest]
        is_at_end = self.position + len(rest) == len(self.text)
        if is_at_end and any(marker.startswith(rest) for marker in markers):
            raise TextEnds
        raise NotACall("its form is not that of a call")

    def skip_space(self) -> None:
        """Read white space, if there is any."""
        found = _SPACE.match(self.text, self.position)
        self.position = found.end() if found else self.position

    def take_word(self) -> str:
        """Read a name. Raises TextEnds if the text ends inside it or behind it."""
        found = _NAME.match(self.text, self.position)
        end = found.end() if found else self.position
        if end == len(self.text):
            raise TextEnds
        if found is None:
            raise NotACall("its form is not that of a call")
        self.position = end
        return found[0]

    def take_until(self, marker: str, limit: int | None = None) -> str:
        """Read up to this marker, and the marker; return what is before it.

        `limit`: the greatest length, in characters.
        """
        stop = None if limit is None else self.position + limit + len(marker)
        found = self.text.find(marker, self.position, stop)
        if found < 0:
            if stop is not None and stop < len(self.text):
                raise NotACall("a name in it is too long")
            raise TextEnds
        taken = self.text[self.position : found]
        self.position = found + len(marker)
        return taken

    def begin_call(self, name: str) -> None:
        """Note the name of the call that is being read. Raises NotOffered."""
        if self._offered is not None and name not in self._offered:
            raise NotOffered(name)
        self.name = name
        if self._stops_at_name:
            raise TextEnds


@dataclass(frozen=True, slots=True)
class CallFormat:
    """One format."""

    name: str
    read: Callable[[SectionReader], list[WrittenCall]]
    """Read a section. Raises NotACall or TextEnds."""
    mentions: tuple[str, ...]
    """Text without which nothing quotes a call in this format, however it is escaped."""
    orphan: str = ""
    """An end marker that may follow a section although it has no beginning."""


def _object_of(text: str) -> dict[str, Any]:
    try:
        value = json_value.read(text)
    except ValueError as broken:
        raise NotACall("its arguments are not JSON") from broken
    if not isinstance(value, dict):
        raise NotACall("its arguments are not a JSON object")
    return value


def _add(arguments: dict[str, Any], key: str, value: Any) -> None:
    if key in arguments:
        raise NotACall("an argument occurs twice")
    arguments[key] = value


def _without_line_ends(text: str) -> str:
    """Return the text without the line end after the opening and before the closing tag."""
    return text.removeprefix("\n").removesuffix("\n")


# <tool_call>{"name": …, "arguments": {…}}</tool_call>


def _read_hermes(reader: SectionReader) -> list[WrittenCall]:
    reader.take("<tool_call>")
    reader.end = "</tool_call>"
    reader.skip_space()
    start = reader.position
    for marker in ("{", '"name"', ":", '"'):
        reader.take(marker)
        if marker != '"':
            reader.skip_space()
    name = reader.take_word()
    reader.take('"')
    reader.begin_call(name)
    reader.position = start
    call = _object_of(reader.take_until("</tool_call>"))
    arguments = call.get("arguments", call.get("parameters", {}))
    if not isinstance(arguments, dict) or call.keys() - {"name", "arguments", "parameters", "id"}:
        raise NotACall("its arguments are not a JSON object")
    return [WrittenCall(name, arguments)]


# <tool_call>NAME<arg_key>…</arg_key><arg_value>…</arg_value></tool_call>


def _read_glm(reader: SectionReader) -> list[WrittenCall]:
    reader.take("<tool_call>")
    reader.end = "</tool_call>"
    reader.skip_space()
    name = reader.take_word()
    reader.skip_space()
    arguments: dict[str, Any] = {}
    tag = reader.take("<arg_key>", "</tool_call>")
    reader.begin_call(name)
    while tag == "<arg_key>":
        key = reader.take_until("</arg_key>", _LONGEST_KEY).strip()
        reader.skip_space()
        reader.take("<arg_value>")
        _add(arguments, key, reader.take_until("</arg_value>"))
        reader.skip_space()
        tag = reader.take("<arg_key>", "</tool_call>")
    return [WrittenCall(name, arguments, frozenset(arguments))]


# <tool_call><function=NAME><parameter=KEY>…</parameter></function></tool_call>


def _read_qwen(reader: SectionReader) -> list[WrittenCall]:
    is_bare = reader.take("<tool_call>", "<function=") == "<function="
    reader.end = "</function>" if is_bare else "</tool_call>"
    if not is_bare:
        reader.skip_space()
        reader.take("<function=")
    calls = [_read_function(reader)]
    while not is_bare:
        reader.skip_space()
        if reader.take("<function=", "</tool_call>") == "</tool_call>":
            break
        calls.append(_read_function(reader))
    return calls


def _read_function(reader: SectionReader) -> WrittenCall:
    name = reader.take_word()
    reader.take(">")
    reader.begin_call(name)
    arguments: dict[str, Any] = {}
    reader.skip_space()
    while reader.take("<parameter=", "</function>") == "<parameter=":
        key = reader.take_until(">", _LONGEST_KEY).strip()
        _add(arguments, key, _without_line_ends(reader.take_until("</parameter>")))
        reader.skip_space()
    return WrittenCall(name, arguments, frozenset(arguments))


# <minimax:tool_call><invoke name="NAME"><parameter name="KEY">…</parameter></invoke>…


def _read_minimax(reader: SectionReader) -> list[WrittenCall]:
    reader.take("<minimax:tool_call>")
    reader.end = "</minimax:tool_call>"
    return _read_invokes(reader, "", reader.end)


# <|DSML|function_calls><|DSML|invoke name="NAME"><|DSML|parameter name="KEY" string="true">…

_BAR = "\uff5c"  # the full-width vertical line
_BARS = (_BAR, "|", "‖", 2 * _BAR, "||")
"""What surrounds `DSML`: the model's own character, and how gateways and models write it."""
_SECTIONS = ("function_calls", "tool_calls")
_BARE = 'invoke name="'
_DSML: Mapping[str, tuple[str, str]] = {
    f"<{bars}DSML{bars}{section}{'' if section == _BARE else '>'}": (f"{bars}DSML{bars}", section)
    for bars in _BARS
    for section in (*_SECTIONS, _BARE)
}
"""The prefix of tags and the name of the section, by the marker that begins it."""


def _read_dsml(reader: SectionReader) -> list[WrittenCall]:
    prefix, section = _DSML[reader.take(*_DSML)]
    if section == _BARE:
        reader.end = f"</{prefix}invoke>"
        return [_read_invoke(reader, prefix)]
    reader.end = f"</{prefix}{section}>"
    return _read_invokes(reader, prefix, reader.end)


def _read_invokes(reader: SectionReader, prefix: str, end: str) -> list[WrittenCall]:
    opening = f"<{prefix}{_BARE}"
    reader.skip_space()
    reader.take(opening)
    calls = [_read_invoke(reader, prefix)]
    reader.skip_space()
    while reader.take(opening, end) == opening:
        calls.append(_read_invoke(reader, prefix))
        reader.skip_space()
    return calls


def _read_invoke(reader: SectionReader, prefix: str) -> WrittenCall:
    name = reader.take_word()
    reader.take('">')
    reader.begin_call(name)
    arguments: dict[str, Any] = {}
    untyped: set[str] = set()
    reader.skip_space()
    parameter, end = f'<{prefix}parameter name="', f"</{prefix}invoke>"
    while reader.take(parameter, end) == parameter:
        key = reader.take_until('"', _LONGEST_KEY)
        kind = reader.take(">", ' string="true">', ' string="false">')
        text = reader.take_until(f"</{prefix}parameter>")
        if "false" in kind:
            _add(arguments, key, _value_of(text))
        else:
            _add(arguments, key, text if prefix else _without_line_ends(text))
        if kind == ">":
            untyped.add(key)
        reader.skip_space()
    return WrittenCall(name, arguments, frozenset(untyped))


def _value_of(text: str) -> Any:
    try:
        return json_value.read(text)
    except ValueError as broken:
        raise NotACall("its arguments are not JSON") from broken


# <|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0<|tool_call_argument_begin|>{…}…


def _read_kimi(reader: SectionReader) -> list[WrittenCall]:
    begin, section_end = "<|tool_call_begin|>", "<|tool_calls_section_end|>"
    is_bare = reader.take("<|tool_calls_section_begin|>", begin) == begin
    reader.end = "<|tool_call_end|>" if is_bare else section_end
    if not is_bare:
        reader.skip_space()
        reader.take(begin)
    calls = [_read_kimi_call(reader)]
    while not is_bare:
        reader.skip_space()
        if reader.take(begin, section_end) == section_end:
            break
        calls.append(_read_kimi_call(reader))
    return calls


def _read_kimi_call(reader: SectionReader) -> WrittenCall:
    reader.skip_space()
    call_id = reader.take_word()
    reader.skip_space()
    reader.take("<|tool_call_argument_begin|>")
    index = _INDEX_OF_KIMI.search(call_id)
    name = call_id[: index.start() if index else None].removeprefix("functions.")
    reader.begin_call(name)
    return WrittenCall(name, _object_of(reader.take_until("<|tool_call_end|>")))


# <|tool▁calls▁begin|><|tool▁call▁begin|>NAME<|tool▁sep|>{…}<|tool▁call▁end|><|tool▁calls▁end|>

_SECTION_BEGIN, _SECTION_END, _BEGIN, _SEPARATOR, _END = (
    f"<{_BAR}tool▁{name}{_BAR}>"
    for name in ("calls▁begin", "calls▁end", "call▁begin", "sep", "call▁end")
)


def _read_deepseek(reader: SectionReader) -> list[WrittenCall]:
    reader.take(_SECTION_BEGIN)
    reader.end = _SECTION_END
    reader.skip_space()
    reader.take(_BEGIN)
    calls = [_read_deepseek_call(reader)]
    reader.skip_space()
    while reader.take(_BEGIN, _SECTION_END) == _BEGIN:
        calls.append(_read_deepseek_call(reader))
        reader.skip_space()
    return calls


def _read_deepseek_call(reader: SectionReader) -> WrittenCall:
    """Read a call of V3.1, or of V3 and R1: `function`, the name, and JSON in a code block."""
    name = reader.take_word()
    reader.take(_SEPARATOR)
    is_block = name == "function"
    if is_block:
        name = reader.take_word()
        reader.skip_space()
        reader.take("```json\n")
    reader.begin_call(name)
    text = reader.take_until(_END)
    return WrittenCall(name, _object_of(text.rstrip().removesuffix("```") if is_block else text))


FORMATS: Mapping[str, CallFormat] = {
    format.name: format
    for format in (
        CallFormat("dsml", _read_dsml, ("DSML",)),
        CallFormat("deepseek", _read_deepseek, ("tool▁call", "2581call")),
        CallFormat("kimi", _read_kimi, ("tool_call",)),
        CallFormat("glm", _read_glm, ("tool_call",)),
        CallFormat("hermes", _read_hermes, ("tool_call",)),
        CallFormat("qwen", _read_qwen, ("tool_call", "function="), "</tool_call>"),
        CallFormat("minimax", _read_minimax, ("minimax",)),
    )
}
"""The formats by name."""


def typed(call: WrittenCall, schema: Any) -> dict[str, Any]:
    """Return the arguments of a call, the untyped ones in the type that the tool's schema says.

    An argument that may be something other than text is read as JSON if it is JSON.
    """
    properties = schema.get("properties") if isinstance(schema, dict) else None
    known = properties if isinstance(properties, dict) else {}
    return {
        key: _typed(value, known.get(key)) if key in call.untyped else value
        for key, value in call.arguments.items()
    }


def _typed(text: str, schema: Any) -> Any:
    if _is_text(schema):
        return text
    try:
        return json_value.read(text)
    except ValueError:
        return text


def _is_text(schema: Any) -> bool:
    """Return whether a schema allows text and nothing else but null."""
    if not isinstance(schema, dict):
        return False
    branches = [schema, *dicts_in(schema.get("anyOf")), *dicts_in(schema.get("oneOf"))]
    kinds = {kind for branch in branches for kind in _kinds_in(branch)}
    return "string" in kinds and kinds <= {"string", "null"}


def _kinds_in(schema: dict[str, Any]) -> list[str]:
    """Return the types that a schema allows, in lower case; Gemini's are in capitals."""
    kind, choices = schema.get("type"), schema.get("enum")
    if not kind and isinstance(choices, list):
        return ["string" if isinstance(choice, str) else "other" for choice in choices]
    kinds = kind if isinstance(kind, list) else [kind]
    return [str(one).lower() for one in kinds if one]
