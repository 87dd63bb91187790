"""Finding the fields that a rejection refuses, in any wording, as paths of the request.

A provider names a field in its message, in the error's `param`, or in a list of places. The names
are matched with the request: `#/messages/0`, `messages[0]` and `body.messages.0` are the same
place, `cachedContent` is `cached_content`, steps that pydantic adds for the member of a union are
skipped, and a bare name means the field with that name, if the request has it in one kind of place
only. A name that the request does not contain is not a field.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wiremend.protocols.base.provider_error import ErrorPlace, ProviderError
from wiremend.protocols.base.tools import value_at
from wiremend.text.json_edits import Path
from wiremend.text.patterns import FOREIGN_TEXT_LIMIT, linear_pattern, text_pattern

_PATH = r"[A-Za-z_$#/][\w$.\[\]/-]{0,300}+"
_NAMES = r"[\[(]?(?:[\"'`]?[A-Za-z_$][\w$.\[\]-]{0,200}+[\"'`]?(?:,\s?|\s(?:and|or)\s)?){1,30}+"
_KIND = r"(?:parameter|argument|field|key|propert(?:y|ie)|option|input|attribute)s?(?:\(s\))?"
_REFUSED = (
    r"(?:not (?:supported|permitted|allowed|recogni[sz]ed|accepted|available)|unsupported"
    r"|deprecated|unknown|unexpected|no longer supported)"
)
_WORDINGS = tuple(
    text_pattern(pattern, ignore_case=True)
    for pattern in (
        # pydantic: `messages.1.x: Extra inputs are not permitted`, `…, field: 'x'`
        rf"(?<![\w.\]])(?P<field>{_PATH}):\s{{1,2}}extra (?:inputs|fields) (?:are )?not permitted",
        rf"extra (?:inputs|fields) (?:are )?not permitted, field:\s{{1,2}}'?(?P<field>{_PATH})",
        # Anthropic: `messages.0.content.1.cache_control: cache_control may not be …`
        rf"(?<![\w.\]])(?P<field>{_PATH}):\s{{1,2}}[\"'`]?[\w.]{{1,100}}+[\"'`]? (?:may|can)\s?not"
        r" be (?:specified|set|used)",
        # `Unsupported parameter: 'x'`, `Unrecognized request arguments supplied: x, y`,
        # `unknown field "x"`, `Unrecognized key(s) in object: 'x'`
        rf"(?:unsupported|unknown|unrecogni[sz]ed|unexpected|extra|disallowed)\s(?:request\s"
        rf"|body\s|keyword\s|input\s)?{_KIND}(?:\s(?:supplied|provided|in object|found|in request"
        rf"|in body))?\s?:?\s{{0,2}}(?P<fields>{_NAMES})",
        # `property 'x' is unsupported`, `'x' is not supported with this model`
        rf"[\"'`](?P<field>{_PATH})[\"'`](?:\s{_KIND})?\s(?:is|are)\s(?:currently\s)?{_REFUSED}",
        rf"\b{_KIND}\s(?P<field>{_PATH})\s(?:is|are)\s(?:currently\s)?{_REFUSED}",
        rf"(?:\A|[.:;\n]\s?)(?P<field>{_PATH})\s(?:is|are)\s(?:currently\s)?{_REFUSED}",
        # `openai does not support parameters: ['x', 'y']`, `doesn't support the 'x' parameter`
        rf"(?:does not|doesn't|do not|don't|cannot)\s(?:support|accept|allow|recogni[sz]e|use)\s"
        rf"(?:the\s|these\s|this\s)?(?:request\s)?{_KIND}\s?:?\s{{0,2}}(?P<fields>{_NAMES})",
        rf"(?:does not|doesn't)\s(?:support|accept|allow)\s(?:the\s)?[\"'`](?P<field>{_PATH})"
        rf"[\"'`]\s{_KIND}",
        # xAI: `Argument not supported on this model: presencePenalty`
        rf"\b{_KIND}\s(?:is\s|are\s)?{_REFUSED}(?:\s(?:on|by|with|for)\sthis\smodel)?:"
        rf"\s{{0,2}}(?P<fields>{_NAMES})",
        # Google: `Unknown name "x" at 'contents[0].parts[1]': Cannot find field`
        r"unknown name \"(?P<field>[^\"]{1,200}+)\"(?: at '(?P<at>[^']{1,300}+)')?: Cannot find",
        # Bedrock: `#/messages/0: extraneous key [x] is not permitted`
        r"(?:#(?P<at>/[\w/-]{0,300}+))?(?:#|:|\s)\s{0,2}extraneous key "
        r"\[(?P<field>[^\]]{1,200}+)\]",
        # JSON Schema: `Additional properties are not allowed ('x', 'y' were unexpected)`
        rf"additional properties are not allowed \((?P<fields>{_NAMES})\s?(?:was|were) unexpected\)"
        r"(?:\s?-\s?'(?P<at>[^']{1,300}+)')?",
        # Python's form of pydantic's list: `'loc': ('body', 'x'), 'msg': 'Extra inputs …`
        r"'loc': [(\[](?P<loc>[^)\]]{1,300}+)[)\]], 'msg': '(?:Extra inputs|extra fields)",
    )
)
_THINKING: tuple[Path, ...] = (
    ("thinking",),
    ("reasoning_effort",),
    ("reasoning",),
    ("generationConfig", "thinkingConfig"),
)
_EFFORT: tuple[Path, ...] = (
    ("output_config", "effort"),
    ("reasoning_effort",),
    ("reasoning", "effort"),
)
_FEATURES = tuple(
    (text_pattern(pattern, ignore_case=True), places)
    for pattern, places in (
        # Anthropic: `This model does not support the effort parameter.`
        (r"(?:does not|doesn't) support (?:the )?effort (?:parameter|setting|option)", _EFFORT),
        # Ollama: `"llama3.1:8b" does not support thinking`
        (r"(?:does not|doesn't) support (?:extended )?(?:thinking|reasoning)\.?\s*+\Z", _THINKING),
        # Gemini: `Thinking is not enabled for models/x`, `… because thinking is not supported by …`
        (r"\bthinking is not (?:enabled for models/|supported by this model)", _THINKING),
    )
)
"""Words for a feature, and the fields that ask for it."""
_REFUSING = text_pattern(
    rf"\b{_REFUSED}|extra[ _](?:inputs?|fields?|forbidden)|unrecogni[sz]ed|extraneous"
    r"|may not be|does(?:n't| not) support|additional propert",
    ignore_case=True,
)
_ABOUT_VALUE = text_pattern(
    r"unsupported[ _]value|invalid[ _]value|unknown variant|invalid[ _]enum|should be one of"
    r"|must be one of|expected one of (?!`)",
    ignore_case=True,
)
_IN_SCHEMA = text_pattern(r"\bcontext=\([^)]{0,150}+\),?\s{0,2}\Z")
"""What precedes the name of a keyword that OpenAI refuses in a schema."""
_NAME = text_pattern(r"[A-Za-z_$][\w$.\[\]-]{0,200}+")
_SEPARATORS = linear_pattern(r"[.\[\]/#\"'`\s,()]++")
_OPAQUE_KEYS = frozenset(
    {"input_schema", "parameters", "parametersJsonSchema", "properties", "schema", "arguments"}
    | {"args", "response", "responseSchema", "response_schema"}
)
"""Members that contain the user's own names: schemas and values. A bare name is not sought there.
`input` is one, too, where it is an object: the arguments of a call."""
_SEARCH_DEPTH = 8
_STEPS_LIMIT = 32
_BEFORE_CHARACTERS = 200
_PATH_CHARACTERS = frozenset(
    "_$.[]/#-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
)
_WRAPPERS = frozenset({"body", "request", "query", "json", "$", "payload", "root"})


def refused_paths(error: ProviderError, request: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of the fields of a parsed request that an error refuses.

    A path is written as in lessons of kind `field`: with dots, and `*` for the index of a list.
    Only fields that the request contains are returned.
    """
    found: dict[str, None] = {}
    for steps in _mentions(error):
        path = resolved(request, steps)
        if path is not None and path != "model":  # an error about the model, not about the field
            found[path] = None
    found |= dict.fromkeys(_feature_paths(error.message, request))
    return tuple(found)


def _feature_paths(message: str, request: Mapping[str, Any]) -> Iterator[str]:
    """Yield the paths of the fields that ask for a feature that the target does not have."""
    before, asked = _inside_wrapper(request) or ((), request)
    for words, places in _FEATURES:
        if words.search(message):
            for place in places:
                if value_at(asked, place) is not None:
                    yield ".".join(map(str, (*before, *place)))


def resolved(request: Mapping[str, Any], steps: tuple[str, ...]) -> str | None:
    """Return the path of the field that these steps of an error name, or None."""
    while steps and steps[0] in _WRAPPERS and steps[0] not in request:
        steps = steps[1:]
    if not steps or len(steps) > _STEPS_LIMIT:
        return None
    inside = _inside_wrapper(request)
    found = next(_along(request, steps), None)
    if found is None and inside is not None:
        found = next(_along(inside[1], steps, inside[0]), None)
    if found is None and len(steps) == 1 and steps[0].isidentifier():
        places = set(_named(request, steps[0]))
        found = places.pop() if len(places) == 1 else None
    return ".".join(found) if found else None


def _mentions(error: ProviderError) -> Iterator[tuple[str, ...]]:
    """Yield the steps of every field that an error mentions as refused."""
    for place in error.places:
        if _is_refusal(place):
            yield tuple(map(str, place.path))
    for wording in _WORDINGS:
        for match in wording.finditer(error.message):
            start = match.start()
            if _IN_SCHEMA.search(error.message[max(0, start - _BEFORE_CHARACTERS) : start]):
                continue
            groups = match.groupdict()
            if groups.get("loc"):
                yield path_steps(groups["loc"])
                continue
            at = groups.get("at") or ""
            names = groups.get("fields") or groups.get("field") or ""
            before = at or _path_before(error.message, match.start())
            for name in _NAME.finditer(names) if groups.get("fields") else (names,):
                text = (name if isinstance(name, str) else name[0]).rstrip(".-")
                if before and before.rpartition(".")[2] != text:
                    yield (*path_steps(before), *path_steps(text))
                yield path_steps(text)
    text = f"{error.message} {error.code} {error.type}"
    if error.param and _REFUSING.search(text) and not _ABOUT_VALUE.search(text):
        yield path_steps(error.param[:FOREIGN_TEXT_LIMIT])


def _is_refusal(place: ErrorPlace) -> bool:
    text = f"{place.kind} {place.message}"
    return _REFUSING.search(text) is not None and _ABOUT_VALUE.search(text) is None


def _path_before(message: str, position: int) -> str:
    """Return the path that is followed by a colon and this position: `messages.0 : …`."""
    before = message[max(0, position - _BEFORE_CHARACTERS) : position].rstrip()
    if not before.endswith(":"):
        return ""
    before = before[:-1].rstrip().rstrip("'\"`")
    start = len(before)
    while start and before[start - 1] in _PATH_CHARACTERS:
        start -= 1
    return before[start:]


def path_steps(text: str) -> tuple[str, ...]:
    """Return the keys and indices in a path, however it is written."""
    return tuple(step for step in _SEPARATORS.split(text) if step)


def _along(value: Any, steps: tuple[str, ...], done: Path = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of the field at these steps; one that names a member of a union is skipped.

    The type of an object stays in the path, since `adapt.refused_fields` matches it.
    """
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        is_index = step.isdecimal() and len(step) < 10
        if is_index and int(step) < len(value) and rest:
            yield from _along(value[int(step)], rest, (*done, "*"))
        elif rest and not is_index:
            yield from _along(value, rest, done)
    elif isinstance(value, Mapping):
        key = _key_in(value, step)
        if key is not None and not rest:
            yield tuple(map(str, (*done, key)))
        elif key is not None and isinstance(value[key], list | dict):
            yield from _along(value[key], rest, (*done, key))
        elif rest:
            is_type = step == value.get("type", "custom")
            yield from _along(value, rest, (*done, step) if is_type else done)


def _key_in(value: Mapping[str, Any], step: str) -> str | None:
    """Return the key that a step means: itself, or the same words in snake or camel case."""
    if step in value:
        return step
    folded = _folded(step)
    return next((key for key in value if _folded(key) == folded), None)


def _folded(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _named(value: Any, name: str, done: Path = (), depth: int = _SEARCH_DEPTH) -> Iterator[Any]:
    """Yield the paths of all members with this name, except in schemas and arguments of tools."""
    if isinstance(value, list):
        for item in value if depth else ():
            yield from _named(item, name, (*done, "*"), depth - 1)
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if _folded(key) == _folded(name):
                yield (*done, key)
            elif depth and not _is_opaque(key, inner):
                yield from _named(inner, name, (*done, key), depth - 1)


def _is_opaque(key: str, value: Any) -> bool:
    if key == "input":
        return isinstance(value, dict)
    return key in _OPAQUE_KEYS


def _inside_wrapper(request: Mapping[str, Any]) -> tuple[Path, Mapping[str, Any]] | None:
    """Return the request inside Code Assist's envelope, with its path; None without one."""
    inner = request.get("request")
    return (("request",), inner) if isinstance(inner, Mapping) else None
