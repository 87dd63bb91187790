"""The response of one attempt, as far as it was read: what it is, and what is kept of it.

It decides nothing about the call: `call_machine` asks it what the bytes became, and says what
of them the client may see.
"""

from enum import Enum, auto

from wiremend.engine.actions import Head, Respond
from wiremend.engine.answers import is_html
from wiremend.engine.call_settings import CallSettings
from wiremend.engine.content_coding import Decoder, UndecodableBody, decoder_for
from wiremend.engine.menders import make_mender
from wiremend.protocols.errors import ProviderError
from wiremend.rules.framing import StreamRepair
from wiremend.rules.mending import Kind, Mended

HELD_LIMIT_BYTES = 1024 * 1024
"""A Responses preamble echoes the whole instructions, twice. Past this, stop holding."""
BODY_LIMIT_BYTES = 64 * 1024 * 1024
"""A buffered body larger than this is passed on as it comes."""
GUARDED_BYTES = 4096
GUARDED_SECONDS = 3.0
"""How much content, and how long, a guarded stream holds back."""


class Reading(Enum):
    """How the body of a response is treated."""

    STREAM = auto()
    """Events are mended one by one and forwarded at once."""
    WHOLE = auto()
    """Collected, looked at, then forwarded."""
    UNTOUCHED = auto()
    """Forwarded as it comes. A body that was collected before still loses its content coding."""


class ResponseReading:
    """Starts before the head; `begin` takes it, `decode` and the rest take the body."""

    def __init__(self, settings: CallSettings, target: int = 0) -> None:
        self.context = settings.context_at(target)
        self.how = Reading.UNTOUCHED
        self.head: Head | None = None
        self.body_is_whole = False
        self.guarded_since: float | None = None
        """When a stream that is shown later had its first content."""
        self._settings = settings
        self._decoder: Decoder | None = None
        self._repair: StreamRepair | None = None
        self._verdict_given = False
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._collected = bytearray()

    def begin(self, head: Head) -> None:
        """The head arrived: decide how the body is read."""
        self.head = head
        self.how = self._how_to_read(head)
        if self.how is Reading.STREAM:
            self._repair = self.fresh_repair()

    def _how_to_read(self, head: Head) -> Reading:
        if head.status < 200 or 300 <= head.status < 400:
            return Reading.UNTOUCHED
        try:
            self._decoder = decoder_for(head.get(b"content-encoding"))
        except UndecodableBody:
            return Reading.UNTOUCHED
        content_type = head.get(b"content-type").lower()
        is_success = head.status < 300
        if is_success and "text/event-stream" in content_type:
            return Reading.STREAM
        if is_success and self._settings.streaming:
            if self.context.array and "html" not in content_type:
                return Reading.STREAM
            if not content_type or content_type.startswith(("text/plain", "application/octet")):
                return Reading.STREAM  # gateways that forget the type
        return Reading.WHOLE

    @property
    def is_coded(self) -> bool:
        """Whether the body has a content coding that is undone here."""
        return self._decoder is not None

    def decode(self, data: bytes) -> bytes:
        """The body's bytes without their content coding. Raises UndecodableBody.

        A few bytes may decode to a lot; see `Decoder.decode` for the limits.
        """
        return self._decoder.decode(data) if self._decoder else data

    # An event stream

    def fresh_repair(self) -> StreamRepair:
        """A repair for a stream of this call of which nothing was seen."""
        return StreamRepair(make_mender(self._settings.protocol, self.context), self.context)

    @property
    def at_event_boundary(self) -> bool:
        """Whether the client's stream may take a keep-alive now."""
        return self._repair is None or not self._repair.gave_up

    @property
    def only_end_is_missing(self) -> bool:
        """The answer is whole, but for the end of its stream."""
        return self._repair is not None and self._repair.complete

    def read_events(self, data: bytes) -> list[Mended]:
        """What the events that these bytes complete became."""
        assert self._repair is not None
        return self._repair.feed(data)

    def end_stream(self) -> list[Mended]:
        """The stream is over; the verdict on it comes last."""
        assert self._repair is not None
        self._verdict_given = True
        return self._repair.end()

    def missing_end(self) -> list[Mended]:
        """The end of a stream that lacks nothing else; empty if it lacks more."""
        if self._repair is None or self._verdict_given:
            return []
        verdict = self.end_stream()
        if verdict[-1].kind is not Kind.TERMINAL or self._repair.gave_up:
            return []
        return verdict

    def fail_stream(self, error: ProviderError) -> bytes:
        """The bytes that end the stream in this error; empty when none can be written."""
        return (self._repair or self.fresh_repair()).fail(error)

    # What is held back

    @property
    def holds_back(self) -> bool:
        """Whether anything waits to be shown."""
        return bool(self._held)

    def hold(self, data: bytes) -> None:
        """Keep bytes of the stream back."""
        if data:
            self._held.append(data)
            self._held_bytes += len(data)

    def take_held(self) -> bytes:
        """What was held back, and is no more."""
        held = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return held

    @property
    def holds_too_much(self) -> bool:
        """Past the bound, holding stops."""
        is_buffered = self._settings.showing == "buffered"
        return self._held_bytes > (BODY_LIMIT_BYTES if is_buffered else HELD_LIMIT_BYTES)

    def is_held(self, now: float, kind: Kind) -> bool:
        """Whether an event of this kind is withheld for now."""
        if kind in (Kind.IDLE, Kind.PREAMBLE):
            return True
        if kind is not Kind.CONTENT or self._settings.showing == "live":
            return False
        if self.guarded_since is None:
            self.guarded_since = now
        if self._settings.showing == "buffered":
            return True
        return self._held_bytes < GUARDED_BYTES and now < self.guarded_since + GUARDED_SECONDS

    def guard_due(self) -> float | None:
        """When a guarded stream that is still held back is shown."""
        is_guarded = self._settings.showing == "guarded"
        if not is_guarded or self.guarded_since is None or not self._held:
            return None
        return self.guarded_since + GUARDED_SECONDS

    # A whole body

    @property
    def collected(self) -> bytes:
        """The body as far as it came, decoded."""
        return bytes(self._collected)

    def collect(self, data: bytes) -> bool:
        """Keep a piece of the body; False when there is too much of it to be kept."""
        self._collected += data
        return len(self._collected) <= BODY_LIMIT_BYTES

    def pass_on(self) -> bytes:
        """From here on the body passes as it comes; what was kept of it comes first."""
        kept = self.take_held() or self.collected
        self._collected.clear()
        self.how = Reading.UNTOUCHED
        return kept

    # Heads for what is shown

    def stream_head(self) -> Head:
        """The head of an event stream: upstream's own, less what mending makes untrue."""
        if self.head is not None and self.how is Reading.STREAM:
            return self.decoded_head(self.head).without((b"content-length",))
        is_array = self.context.array
        content_type = b"application/json" if is_array else b"text/event-stream"
        return Head(200, ((b"content-type", content_type), (b"cache-control", b"no-cache")))

    def decoded_head(self, head: Head) -> Head:
        """The head of a body that was decoded."""
        if self._decoder is None:
            return head
        return head.without((b"content-encoding", b"content-length"))

    def whole_head(self, head: Head, body: bytes) -> Head:
        """A buffered response's head with its length put right."""
        head = self.decoded_head(head)
        if head.get(b"content-length") == str(len(body)):
            return head
        fields = head.without((b"content-length", b"transfer-encoding")).fields
        return Head(head.status, (*fields, (b"content-length", b"%d" % len(body))))

    def own_error(self) -> Respond | None:
        """The provider's own HTTP error, if that is what came and a client can read it."""
        if self.head is None or self.head.status < 400 or self.how is not Reading.WHOLE:
            return None
        body = self.collected
        if is_html(self.head, body) or not body.strip() or not self.body_is_whole:
            return None
        return Respond(self.whole_head(self.head, body), body)
