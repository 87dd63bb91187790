"""Reading the parts of messages and of the results of calls."""

from collections.abc import Iterator
from typing import Any

from wiremend.protocols.base.middle.content import (
    Base64Source,
    Citation,
    FileSource,
    Media,
    MediaKind,
    Own,
    Part,
    Refusal,
    Source,
    Text,
    UrlSource,
)
from wiremend.protocols.base.middle.members import Members
from wiremend.protocols.base.middle.wording import data_url, source_of_url
from wiremend.protocols.responses.read.kinds import PROTOCOL, opaque, raw_own
from wiremend.text.json_edits import Path
from wiremend.text.json_value import dicts_in

INPUT_TEXT, OUTPUT_TEXT = "input_text", "output_text"
_TEXTS = frozenset({INPUT_TEXT, OUTPUT_TEXT, "text"})
_PDF = "application/pdf"


def read_parts(values: list[Any], text_type: str, path: Path) -> tuple[Part, ...]:
    """Return the parts in a list; `text_type` is the type that texts usually have there."""
    return tuple(_read_part(value, text_type, (*path, index)) for index, value in enumerate(values))


def _read_part(value: Any, text_type: str, at: Path) -> Part:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind in _TEXTS and isinstance(value.get("text"), str):
        return read_text(value, text_type, at)
    if kind == "refusal" and isinstance(value.get("refusal"), str):
        members = Members(value)
        members.drop("type")
        text = members.drop("refusal")
        return Refusal(text, own=members.own(PROTOCOL), at=at)
    if kind == "input_image":
        return _image(value, at) or opaque(value, at)
    if kind == "input_file":
        return _file(value, at) or opaque(value, at)
    if kind == "input_audio":
        return _audio(value, at)
    text = value.get("text") if isinstance(value, dict) else None
    return opaque(value, at, text if isinstance(text, str) else "")


def read_text(value: dict[str, Any], text_type: str, at: Path = ()) -> Text:
    """Return a text part. Its type remains in `own` if it is another than `text_type`."""
    members = Members(value)
    text = members.drop("text")
    if value.get("type") == text_type:
        members.drop("type")
    annotations = value.get("annotations")
    citations = tuple(citations_in(annotations))
    return Text(text, citations, own=members.own(PROTOCOL), at=at)


def citations_in(annotations: Any) -> Iterator[Citation]:
    """Yield the sources in the annotations of a text, each with its annotation in `own`."""
    for annotation in dicts_in(annotations):
        yield read_citation(annotation)


def read_citation(annotation: dict[str, Any]) -> Citation:
    """Return the source in an annotation; files have no address, they are in `own` alone."""
    url, title = annotation.get("url"), annotation.get("title", annotation.get("filename"))
    return Citation(
        url if isinstance(url, str) else "",
        title if isinstance(title, str) else "",
        own=Own(PROTOCOL, annotation),
    )


def _image(value: dict[str, Any], at: Path) -> Media | None:
    members = Members(value)
    members.drop("type")
    source = _source_of(members, "image_url")
    detail = members.text("detail")
    if source is None:
        return None
    return Media(MediaKind.IMAGE, source, detail=detail, own=members.own(PROTOCOL), at=at)


def _file(value: dict[str, Any], at: Path) -> Media | None:
    members = Members(value)
    members.drop("type")
    data = members.peek("file_data")
    if isinstance(data, str) and data:
        source: Source | None = source_of_url(data)
        if not isinstance(source, Base64Source):
            source = Base64Source(_PDF, data)  # providers take the bare Base64, too
        if data_url(source) == data:
            members.drop("file_data")
    else:
        source = _source_of(members, "file_url")
    title, detail = members.text("filename"), members.text("detail")
    if source is None:
        return None
    own = members.own(PROTOCOL)
    return Media(MediaKind.DOCUMENT, source, title=title, detail=detail, own=own, at=at)


def _audio(value: dict[str, Any], at: Path) -> Media:
    """Return audio; `own` contains the whole part."""
    audio = value.get("input_audio")
    fields = audio if isinstance(audio, dict) else {}
    source = Base64Source(f"audio/{fields.get('format')}", str(fields.get("data") or ""))
    return Media(MediaKind.AUDIO, source, own=raw_own(value), at=at)


def _source_of(members: Members, url_key: str) -> Source | None:
    """Take the address or the id of a file; None if there is neither.

    An address remains if it could not be restored from the source.
    """
    url = members.peek(url_key)
    if isinstance(url, str) and url:
        source = source_of_url(url)
        if isinstance(source, UrlSource) or data_url(source) == url:
            members.drop(url_key)
        return source
    file_id = members.text("file_id")
    return FileSource(file_id) if file_id else None
