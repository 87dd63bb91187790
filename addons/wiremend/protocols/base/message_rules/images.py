"""The shared rules on images that a target refuses, and their passes.

An image stays in the history of a conversation, so one that is refused ends the conversation. A
note takes its place: the model learns that something was there, and all other content stays.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import HistoryStep, step
from wiremend.protocols.base.traits import MessageTraits
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path

_ALL = tuple(WireProtocol)

IMAGES_UNSUPPORTED = Rule(
    code="Q304",
    name="images-unsupported",
    detects="The conversation contains images, and the model accepts only text.",
    impact="Every further turn is rejected: `this model does not support image input`, `` unknown "
    "variant `image_url`, expected `text` ``, `No endpoints found that support image input`.",
    action="Replaces each image with a note.",
    protocols=_ALL,
    seen=(
        "cloudflare/cloudflare-os#97",
        "anthropics/claude-code#91112",
        "github/copilot-cli#3781",
        "HKUDS/OpenHarness#225",
        "1jehuang/jcode#755",
        "zai-org/zai-coding-plugins#18",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":'
    '"https://example.com/a.png"}},{"type":"text","text":"What is this?"}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"(an image was left out: '
    'the model accepts only text)"},{"type":"text","text":"What is this?"}]}]}',
)
TOO_MANY_IMAGES = Rule(
    code="Q305",
    name="too-many-images",
    detects="The conversation contains more images than the provider accepts, or more than it "
    "accepts in this size.",
    impact="`Request contains 52 images, exceeding the maximum of 50 allowed per request`; "
    "Anthropic: `image dimensions exceed max allowed size for many-image requests: 2000 pixels`, "
    "which applies from the 21st image on.",
    action="Replaces the oldest images with a note.",
    protocols=_ALL,
    seen=(
        "anomalyco/opencode#48647",
        "anthropics/claude-code#52220",
        "anthropics/claude-code#24630",
        "microsoft/vscode#297841",
        "langgenius/dify#11177",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":'
    '"https://example.com/1.png"}},{"type":"image","source":{"type":"url","url":'
    '"https://example.com/2.png"}}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"(an image was left out: '
    'the conversation has too many images)"},{"type":"image","source":{"type":"url","url":'
    '"https://example.com/2.png"}}]}]}',
)
IMAGE_TOO_LARGE = Rule(
    code="Q306",
    name="image-too-large",
    detects="An image is larger than the provider accepts.",
    impact="Anthropic: `image exceeds 5 MB maximum: 10053760 bytes > 5242880 bytes`, which counts "
    "the bytes of the base64 text.",
    action="Replaces the image with a note.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#2104",
        "kirodotdev/Kiro#10783",
        "earendil-works/pi#224",
        "openclaw/openclaw#2871",
        "aws/amazon-q-developer-cli#3912",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64",'
    '"media_type":"image/png","data":"iVBORw0KGgo="}}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"(an image was left out: '
    'it is too large)"}]}]}',
)
IMAGE_REFUSED = Rule(
    code="Q307",
    name="image-refused",
    detects="The provider rejected an image in the conversation: it is damaged, too many pixels "
    "wide or high, or of another type than declared.",
    impact="Anthropic: `Could not process image`; `messages.7.content.2.image.source.base64.data: "
    "At least one of the image dimensions exceed max allowed size: 8000 pixels`.",
    action="Sends the request once more with a note in place of that image, or of all images if "
    "the error does not identify one. Other requests keep their images.",
    protocols=_ALL,
    seen=(
        "anthropics/claude-code#1747",
        "anthropics/claude-code#56016",
        "anthropics/claude-code#34517",
        "anthropics/claude-code#4778",
    ),
    before='{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64",'
    '"media_type":"image/png","data":"iVBORw0KGgo="}}]}]}',
    after='{"messages":[{"role":"user","content":[{"type":"text","text":"(an image was left out: '
    'the provider rejected it)"}]}]}',
)

ALL_IMAGES = "all"
"""A value in `MessageTraits.refused_images` if the error does not identify an image."""
_UNSUPPORTED = "(an image was left out: the model accepts only text)"
_TOO_MANY = "(an image was left out: the conversation has too many images)"
_TOO_LARGE = "(an image was left out: it is too large)"
_REFUSED = "(an image was left out: the provider rejected it)"


@dataclass(frozen=True, slots=True)
class Image:
    """An image in a parsed request."""

    path: Path
    note: Callable[[str], dict[str, Any]]
    """Return the value that replaces it, with this text."""
    base64_bytes: int | None = None
    """The length of its base64 text; None if the request contains only its address."""


type ImagesOf = Callable[[dict[str, Any]], Iterator[Image]]
"""Yield the images of a request, the oldest first."""


def text_block(kind: str) -> Callable[[str], dict[str, Any]]:
    """Return a function that makes a content block of this type with a text."""
    return lambda text: {"type": kind, "text": text}


def data_url_length(url: Any) -> int | None:
    """Return the length of the base64 text of a data URL; None for any other value."""
    if not isinstance(url, str) or not url.startswith("data:"):
        return None
    return len(url) - url.find(",", 0, 200) - 1


def image_passes(images_of: ImagesOf, *words: str) -> tuple[HistoryStep, ...]:
    """Create the passes over the images that `images_of` finds, each with its rule."""

    def unsupported(r: dict[str, Any], edits: Edits, _: MessageTraits, notes: Notes) -> None:
        _replace(images_of(r), edits, notes, IMAGES_UNSUPPORTED, _UNSUPPORTED)

    def too_many(r: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        if traits.max_images is not None:
            images = list(images_of(r))
            oldest = images[: max(0, len(images) - traits.max_images)]
            _replace(oldest, edits, notes, TOO_MANY_IMAGES, _TOO_MANY)

    def too_large(r: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        largest = traits.max_image_bytes
        if largest is not None:
            large = (i for i in images_of(r) if (i.base64_bytes or 0) > largest)
            _replace(large, edits, notes, IMAGE_TOO_LARGE, _TOO_LARGE)

    def refused(r: dict[str, Any], edits: Edits, traits: MessageTraits, notes: Notes) -> None:
        places = {_indices(path.split(".")) for path in traits.refused_images}
        is_each = ALL_IMAGES in traits.refused_images
        images = (i for i in images_of(r) if is_each or _indices(i.path) in places)
        _replace(images, edits, notes, IMAGE_REFUSED, _REFUSED)

    return (
        step(IMAGES_UNSUPPORTED, unsupported, *words),
        step(IMAGE_REFUSED, refused, *words),
        step(IMAGE_TOO_LARGE, too_large, *words),
        step(TOO_MANY_IMAGES, too_many, *words),
    )


def _replace(images: Iterable[Image], edits: Edits, notes: Notes, rule: Rule, text: str) -> None:
    for image in images:
        if notes.note(rule, BodyPlace(image.path), "an image", "replaced with a note"):
            edits.replace(image.path, json_value.write(image.note(text)))


def _indices(path: Iterable[str | int]) -> tuple[int, ...]:
    """Return the indices in a path: providers add the types of blocks to the keys of a request."""
    return tuple(int(step) for step in path if isinstance(step, int) or step.isdecimal())
