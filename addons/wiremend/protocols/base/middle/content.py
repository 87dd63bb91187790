"""The parts of messages, in requests and in answers."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from wiremend.protocols.base.middle.state import State
from wiremend.protocols.base.names import WireProtocol
from wiremend.text.json_edits import Path
from wiremend.value_class import value_class


@value_class
class Own:
    """Members of a JSON object that only its own protocol has.

    The writer of the same protocol adds them to the object that it writes.
    """

    protocol: WireProtocol
    fields: Mapping[str, Any]

    def of(self, protocol: WireProtocol) -> Mapping[str, Any]:
        """Return the members if they belong to this protocol, else none."""
        return self.fields if self.protocol is protocol else {}


def own_fields(own: Own | None, protocol: WireProtocol) -> Mapping[str, Any]:
    """Return the members that the writer of `protocol` restores; none for another protocol's."""
    return own.of(protocol) if own is not None else {}


@value_class(kw_only=True)
class Placed:
    """What every value of the middle form can have."""

    own: Own | None = None
    """Members without a place in the middle form."""
    at: Path = field(default=(), compare=False)
    """The path in the body that it was read from, for findings; empty in answers."""


@value_class
class Citation(Placed):
    """A source of a text. Locations in documents of the request are in `own` alone."""

    url: str = ""
    title: str = ""
    cited_text: str = ""


@value_class
class Text(Placed):
    """Text of any role."""

    text: str = ""
    citations: tuple[Citation, ...] = ()
    state: State | None = None
    """State of the provider that is bound to this text (Gemini's `thoughtSignature`)."""
    begins_message: bool = False
    """In answers: whether it is in another message than the text before it. Protocols with one text
    in an answer divide the two."""
    is_private: bool = False
    """Whether the client means it for its own provider alone: Claude Code's billing line."""


@value_class
class Refusal(Placed):
    """Text with which the model refuses to answer."""

    text: str = ""


@value_class
class Thinking(Placed):
    """Reasoning of the model.

    Redacted or encrypted reasoning has a state and no text. Several texts (summaries of Responses)
    are joined by a blank line; a reader that must restore them keeps them in `own`.
    """

    text: str = ""
    state: State | None = None
    """What the provider requires with it in the next turn: a signature, encrypted content …"""


@value_class
class Base64Source:
    """The bytes of a medium, in the standard alphabet of Base64."""

    media_type: str
    data: str


@value_class
class UrlSource:
    """An address that the provider fetches; never a `data:` URL, which is a `Base64Source`."""

    url: str
    media_type: str = ""


@value_class
class TextSource:
    """A document that is plain text."""

    text: str


@value_class
class FileSource:
    """A file that was uploaded to one provider, by its id; no other provider has it."""

    file_id: str


type Source = Base64Source | UrlSource | TextSource | FileSource


class MediaKind(StrEnum):
    """The kind of a medium; the value is the word in notes to the model."""

    IMAGE = "image"
    DOCUMENT = "document"
    AUDIO = "audio"
    VIDEO = "video"


@value_class
class Media(Placed):
    """An image, a document, or another medium."""

    kind: MediaKind
    source: Source
    title: str = ""
    """The title of a document, or the name of its file."""
    context: str = ""
    """Text about a document, for the model."""
    detail: str = ""
    """OpenAI's level of detail of an image: `low`, `high`, `auto` …"""


class CallKind(StrEnum):
    """Which words a call has in its protocol; the client finds the tool by it."""

    FUNCTION = "function"
    """Arguments are JSON."""
    CUSTOM = "custom"
    """OpenAI's free-text tools: `arguments` is the input, which is no JSON."""
    TYPED = "typed"
    """A tool that the vendor defines and the client runs: `bash_20250124`, `local_shell` …
    `arguments` is JSON: Anthropic's `input`, or the `action` of Responses."""


@value_class
class Call(Placed):
    """A call of a tool that the client runs."""

    id: str
    """As in the protocol that it was read from; empty if it had none."""
    name: str
    arguments: str = ""
    """The text as it came: JSON, or the input of a custom tool. From objects: compact JSON in the
    order of the source, without escapes for letters. An empty text is an empty object."""
    kind: CallKind = CallKind.FUNCTION
    namespace: str = ""
    """The namespace of the tool, in Responses."""
    state: State | None = None
    """State of the provider that is bound to this call (Gemini's `thoughtSignature`)."""


@value_class
class Result(Placed):
    """The result of a call, in the turn after it."""

    call_id: str
    parts: tuple["Part", ...] = ()
    """Texts, media, opaque content."""
    is_error: bool | None = None
    """None: the client did not state it, or has no word for it."""
    name: str = ""
    """The name of the tool; empty if the protocol does not repeat it. See
    `conversation.names_by_call`."""
    kind: CallKind = CallKind.FUNCTION
    is_plain: bool = False
    """Whether the content was one string rather than a list of parts."""


@value_class
class ServerCall(Placed):
    """A call that the provider runs itself. `own` contains the rest of the object."""

    id: str
    name: str
    """The common name of the tool: `web_search`, `web_fetch`, `code_execution` …"""
    arguments: str = ""


@value_class
class ServerResult(Placed):
    """The result of a call that the provider ran. `own` contains the object."""

    call_id: str
    name: str
    sources: tuple[Citation, ...] = ()
    text: str = ""
    error: str = ""


@value_class
class Opaque(Placed):
    """A part that only one protocol has; `own` contains the whole object."""

    kind: str = ""
    """The type of the part, for findings."""
    text: str = ""
    """What other protocols write instead, as text for the model; empty: nothing."""


type Part = Text | Refusal | Thinking | Media | Call | Result | ServerCall | ServerResult | Opaque
