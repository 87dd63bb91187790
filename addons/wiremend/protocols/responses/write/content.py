"""Writing the parts of messages and of the results of calls."""

from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    FileSource,
    Media,
    MediaKind,
    Opaque,
    Part,
    Refusal,
    ServerCall,
    ServerResult,
    Text,
    TextSource,
    UrlSource,
    own_fields,
)
from wiremend.protocols.base.middle.losses import Losses, LossKind
from wiremend.protocols.base.middle.members import without_nothing
from wiremend.protocols.base.middle.target import Target
from wiremend.protocols.base.middle.wording import (
    data_url,
    media_note,
    refuse_media,
    server_text,
    text_document,
)
from wiremend.protocols.responses.read.content import OUTPUT_TEXT
from wiremend.protocols.responses.read.kinds import PROTOCOL, raw_value
from wiremend.text.json_value import JsonObject


class ContentWriter:
    """Writes the parts of one request's messages and results."""

    def __init__(self, target: Target, losses: Losses, *, is_own: bool) -> None:
        self._target = target
        self._losses = losses
        self._is_own = is_own
        """Whether the request was read from this protocol."""

    def content(self, parts: tuple[Part, ...], text_type: str) -> list[Any]:
        """Return the content of a message; texts get the type `text_type`."""
        return [one for part in parts for one in self._written(part, text_type)]

    def _written(self, part: Part, text_type: str) -> list[Any]:
        own = own_fields(part.own, PROTOCOL)
        match part:
            case Text():
                return [{"type": text_type, "text": part.text, **own}]
            case Refusal() if self._is_own:
                return [{"type": "refusal", "refusal": part.text, **own}]
            case Refusal():
                return [{"type": text_type, "text": part.text}]
            case Media(kind=MediaKind.AUDIO) if self._is_own:
                return [raw_value(part.own)]
            case Media() if self._is_own:
                return [{**_media(part), **own}]
            case Media():
                return [self._media(part, text_type)]
            case Opaque() if own:
                return [raw_value(part.own)]
            case Opaque() | ServerCall() | ServerResult():
                return self._as_text(part, text_type)
            case _:
                return []  # calls, results and reasoning are items

    def _media(self, part: Media, text_type: str) -> JsonObject:
        """Return a medium, or a note in its place where the target does not take it."""
        if isinstance(part.source, TextSource):
            return {"type": text_type, "text": text_document(part, part.source.text)}
        refuse_media(part, self._target)
        traits = self._target.traits
        is_taken = part.kind in (MediaKind.IMAGE, MediaKind.DOCUMENT) and part.kind in traits.media
        is_taken = is_taken and (traits.media_urls or not isinstance(part.source, UrlSource))
        if is_taken and text_type != OUTPUT_TEXT:
            detail = {"detail": part.detail or "auto"} if part.kind is MediaKind.IMAGE else {}
            return {**_media(part), **detail}
        note = media_note(part)
        self._losses.add(LossKind.MEDIA, note, "a note is sent instead", part.at)
        return {"type": text_type, "text": note}

    def _as_text(
        self, part: Opaque | ServerCall | ServerResult, text_type: str
    ) -> list[JsonObject]:
        if isinstance(part, Opaque):
            text, kind, name = part.text, LossKind.CONTENT, part.kind
        else:
            text, kind, name = server_text(part), LossKind.SERVER_TOOL, part.name
        self._losses.add_once(kind, name, "sent as text" if text else "not sent", part.at)
        return [{"type": text_type, "text": text}] if text else []


def _media(part: Media) -> JsonObject:
    """Return an image or a document."""
    source = part.source
    is_image = part.kind is MediaKind.IMAGE
    fields: JsonObject = {}
    match source:
        case Base64Source():
            fields["image_url" if is_image else "file_data"] = data_url(source)
        case UrlSource():
            fields["image_url" if is_image else "file_url"] = source.url
        case FileSource():
            fields["file_id"] = source.file_id
        case TextSource():
            pass  # only in other protocols, and written as text
    if is_image:
        return {"type": "input_image", **fields, **without_nothing(detail=part.detail)}
    name = part.title or ("document.pdf" if isinstance(source, Base64Source) else "")
    return {
        "type": "input_file",
        **without_nothing(filename=name),
        **fields,
        **without_nothing(detail=part.detail),
    }
