"""Which parts of traffic identify a person, a machine, an account or a session; stand-ins for them.

A stand-in has the length of what it replaces, so that lengths, offsets and the recorded ends of
chunks stay correct, and it begins so that no escape in JSON becomes invalid. Stand-ins are numbered
in the order of appearance: two recordings of the same run have the same ones.

A text that a model streams in pieces may contain half a name in one event and half in the next.
Such names are not found.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wiremend.text.patterns import LinearPattern, escape_pattern, linear_pattern

IDENTITY_HEADERS = frozenset(
    {
        *("anthropic-organization-id", "request-id", "x-request-id", "cf-ray", "x-goog-request-id"),
        *("x-client-request-id", "x-claude-code-session-id", "session-id", "session_id"),
        *("x-session-id", "x-session-affinity", "x-opencode-session", "x-installation-id"),
        "x-codex-turn-metadata",
        *("conversation_id", "x-github-request-id", "apim-request-id", "x-ms-client-request-id"),
    }
)
"""Headers whose values are ids, in lower case."""
IDENTITY_FIELDS: Sequence[tuple[str, ...]] = (
    ("metadata", "user_id"),
    ("client_metadata",),
    ("user",),
    ("safety_identifier",),
)
"""Fields of requests whose values are ids or contain them."""
KEY_FORMS = linear_pattern(
    rb"(?<![A-Za-z0-9+/=_-])(?:"
    rb"sk-ant-(?:api|admin|oat)\d\d-[\w-]{20}|sk-(?:proj|or|svcacct)-[\w-]{20}|sk-[A-Za-z0-9]{40}|"
    rb"AIza[\w-]{35}|gh[pousr]_\w{36}|github_pat_\w{22}|AKIA[0-9A-Z]{16}|xox[abp]-[\w-]{10}|"
    rb"glpat-[\w-]{20}|hf_[A-Za-z0-9]{30}|gsk_[A-Za-z0-9]{40}|xai-[A-Za-z0-9]{40}|"
    rb"ya29\.[\w-]{20}|eyJ[\w-]{10,400}\.eyJ[\w-]{10})|"
    rb"-----BEGIN (?:[A-Z]{1,12} )?PRIVATE KEY"
)
"""The forms of keys. A match is the beginning of a key."""

_REST_OF_KEY = linear_pattern(rb"[\w.-]*+")
_REST_OF_PRIVATE_KEY = linear_pattern(rb'-----[^-"]{0,16384}+')
ID_TEXT = (
    r"(?<![0-9A-Za-z])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{16,256}+)"
    r"(?![0-9A-Za-z])"
)
"""The pattern of UUIDs and hashes."""
_TOKEN = linear_pattern(ID_TEXT)
_MAIL = linear_pattern(
    rb"(?:(?<=\\[nrtbf])|(?<=\\u[0-9a-fA-F]{4})|(?<![A-Za-z0-9._%+\\-]))"
    rb"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}+@(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}+\.){1,6}[A-Za-z]{2,24}"
    rb"(?![A-Za-z0-9-])"
)
_WORD_START = rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrtbf])|(?<=%[0-9A-Fa-f]{2})|(?<=\\u[0-9a-fA-F]{4}))"
_WORD_END = rb"(?![A-Za-z0-9])"
_NOBODYS_MAIL = (b"noreply", b"no-reply", b"git", b"support")
_NOBODYS_DOMAINS = (b"example.com", b"example.org", b"example.net", b"localhost.localdomain")
_GENERIC_NAMES = frozenset(
    {
        *("root", "user", "admin", "administrator", "ubuntu", "debian", "runner", "node", "vscode"),
        *("app", "home", "test", "docker", "dev", "developer", "nobody", "codespace", "ec2-user"),
        *("localhost", "localdomain", "name", "users", "build", "builder", "jenkins", "gitlab"),
    }
)
"""Generic names, which do not identify a person and are frequent in texts."""
_HOMES = ("", "home", "Users", "var", "root", "srv", "tmp", "opt", "mnt", "data", "private")
"""Parts of paths of home folders that are not names."""
_PREFIXES = ("req", "user", "org", "proj", "acct", "account", "sess", "session", "conv", "key")
"""What ids begin with. It is kept."""
_SHORTEST_NAME = 3
_MASK = b"REDACTED"


@dataclass(frozen=True, slots=True)
class Machine:
    """What identifies the machine on which a recording is made, and its user."""

    names: tuple[str, ...] = ()
    """Of the user: account names and full names."""
    hosts: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()
    """Paths of home folders."""


def header_ids(name: str, value: str) -> list[str]:
    """Return the ids in a header: UUIDs and hashes, or the whole value of a header for ids.

    The values of some headers are JSON that contains ids.
    """
    if name.lower() in IDENTITY_HEADERS and value and "{" not in value:
        return [value]
    return list(dict.fromkeys(_TOKEN.findall(value)))


def field_ids(place: str, text: str) -> list[str]:
    """Return the ids in a text of `texts_at_identities`: UUIDs and hashes, else the whole text.

    Other texts in `client_metadata` describe the client.
    """
    tokens = list(dict.fromkeys(_TOKEN.findall(text)))
    return tokens or ([text] if text and place != "client_metadata" else [])


def is_stand_in(token: str) -> bool:
    """Return whether an id is one that was put in by `StandIns`."""
    digits = [char for char in token[_prefix_length(token) :] if char.isalnum()]
    number = "".join(digits).lstrip("0")
    return number.isdecimal() and len(number) <= 6 and (len(digits) > len(number) or not number)


def texts_at_identities(fields: Any) -> Iterator[tuple[str, str]]:
    """Yield the place and the text of each identity in a request's fields."""
    for path in IDENTITY_FIELDS:
        value = fields
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        for text in _texts(value):
            yield ".".join(path), text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)


class StandIns:
    """Replaces identities by stand-ins, the same one everywhere in a recording."""

    def __init__(self, machine: Machine) -> None:
        self._ids: dict[bytes, bytes] = {}
        self._lasting: dict[bytes, bytes] = {}
        """Ids that are searched for in all later messages too, not only in those of their call."""
        self._mails: dict[bytes, bytes] = {}
        self._literals = list(_literals(machine))

    def learn_headers(self, headers: Iterable[tuple[str, str]]) -> dict[bytes, bytes]:
        """Return the ids in headers, with their stand-ins."""
        found: dict[bytes, bytes] = {}
        for name, value in headers:
            tokens = header_ids(name, value)
            found |= {token.encode("latin-1", "replace"): self._id(token) for token in tokens}
        return found

    def learn_path(self, path: str) -> dict[bytes, bytes]:
        """Return the UUIDs and hashes in a path, with their stand-ins."""
        return {token.encode("utf-8", "replace"): self._id(token) for token in _TOKEN.findall(path)}

    def learn_fields(self, fields: Any) -> dict[bytes, bytes]:
        """Return the ids in a request, with their stand-ins. They are also replaced later."""
        for place, text in texts_at_identities(fields):
            for token in field_ids(place, text):
                if token != text:
                    self._lasting[token.encode()] = self._id(token)
                    continue
                # It may be a common word, so it is replaced in its field only.
                key = place.rpartition(".")[2]
                for form in (f'"{key}":"{text}"', f'"{key}": "{text}"'):
                    stand_in = form[: -len(text) - 1].encode() + self._id(text) + b'"'
                    self._lasting[form.encode("utf-8", "replace")] = stand_in
        return self._lasting

    def replaced(self, data: bytes, ids: Mapping[bytes, bytes]) -> bytes:
        """Return data of the same length with stand-ins for these ids and all other identities."""
        for value in sorted(ids, key=len, reverse=True):
            if value in data:
                data = data.replace(value, ids[value])
        for literal in self._literals:
            data = literal.replaced(data)
        if b"@" in data:
            data = _MAIL.sub(lambda found: self._mail(found[0]), data)
        return without_keys(data)

    def _id(self, value: str) -> bytes:
        encoded = value.encode("utf-8", "replace")
        if is_stand_in(value):
            return encoded
        return self._ids.setdefault(encoded, _id_stand_in(encoded, len(self._ids) + 1))

    def _mail(self, address: bytes) -> bytes:
        local, _, domain = address.rpartition(b"@")
        if local.lower() in _NOBODYS_MAIL or domain.lower() in _NOBODYS_DOMAINS:
            return address
        if address not in self._mails:
            rest, _, top = domain.rpartition(b".")
            number = len(self._mails) + 1
            stand_in = _name_stand_in(len(local), number) + b"@" + _padded(b"example", len(rest))
            self._mails[address] = stand_in + b"." + top
        return self._mails[address]


@dataclass(frozen=True, slots=True)
class _Literal:
    """A text that is replaced wherever it stands alone."""

    text: bytes
    pattern: LinearPattern[bytes]
    stand_in: bytes

    def replaced(self, data: bytes) -> bytes:
        return self.pattern.sub(self.stand_in, data) if self.text in data else data


def identity_names(machine: Machine) -> list[str]:
    """Return the names of a machine and its user that are replaced: not those that many have."""
    return list(dict.fromkeys(filter(_is_identity, (*machine.names, *machine.hosts))))


def _literals(machine: Machine) -> Iterator[_Literal]:
    """Yield what identifies a machine, paths first, since they contain names."""
    for number, home in enumerate(dict.fromkeys(machine.homes), 1):
        parts = home.rstrip("/\\").replace("\\", "/").split("/")
        stand_in = [_path_part(part, number) for part in parts]
        if stand_in != parts:
            for sign in ("/", "\\/", "%2F", "%2f", "-", "\\\\", "\\"):
                yield _literal(sign.join(parts), sign.join(stand_in).encode(), starts_word=False)
    for number, name in enumerate(identity_names(machine), 1):
        for form in dict.fromkeys((name, _escaped(name))):
            yield _literal(form, _name_stand_in(len(form.encode()), number))


def _literal(text: str, stand_in: bytes, *, starts_word: bool = True) -> _Literal:
    encoded = text.encode("utf-8", "replace")
    start = _WORD_START if starts_word else b""
    pattern = linear_pattern(start + escape_pattern(encoded) + _WORD_END)
    return _Literal(encoded, pattern, stand_in.replace(b"\\", b"\\\\"))


def _path_part(part: str, number: int) -> str:
    if part in _HOMES or part.endswith(":") or not _is_identity(part):
        return part
    return _name_stand_in(len(part.encode()), number).decode()


def _is_identity(name: str) -> bool:
    return len(name) >= _SHORTEST_NAME and name.lower() not in _GENERIC_NAMES


def _escaped(name: str) -> str:
    """Return a name as JSON with escapes contains it."""
    return "".join(char if char.isascii() else f"\\u{ord(char):04x}" for char in name)


def _name_stand_in(length: int, number: int) -> bytes:
    """Return a name of this length. It begins with `n`, which is valid behind a backslash too."""
    digits = str(number)[-max(1, length - 1) :].encode()
    return _padded(b"name"[: max(0, length - len(digits))], length - len(digits)) + digits


def _padded(start: bytes, length: int) -> bytes:
    return start[:length].ljust(length, b"0")


def _prefix_length(value: str) -> int:
    """Return the length of a prefix such as `req_`, which is kept."""
    at = next((at for at, char in enumerate(value[:13]) if char in "_-"), 0)
    return at + 1 if value[:at] in _PREFIXES else 0


def _id_stand_in(value: bytes, number: int) -> bytes:
    """Return an id of the same shape: zeros, and the number at the end."""
    text = bytearray(value)
    start = _prefix_length(value.decode("utf-8", "replace"))
    places = [at for at in range(start, len(text)) if chr(text[at]).isalnum()]
    for at in places:
        text[at] = ord("0")
    for at, digit in zip(reversed(places), reversed(str(number)), strict=False):
        text[at] = ord(digit)
    return bytes(text)


def without_keys(data: bytes) -> bytes:
    """Return the data, of the same length, with everything masked that has the form of a key."""
    parts: list[bytes] = []
    end = 0
    for found in KEY_FORMS.finditer(data):
        if found.start() < end:
            continue
        rest = _REST_OF_PRIVATE_KEY if found[0].startswith(b"-----") else _REST_OF_KEY
        whole = rest.match(data, found.end())
        stop = whole.end() if whole is not None else found.end()
        parts += [data[end : found.start()], _MASK.ljust(stop - found.start(), b"_")]
        end = stop
    return b"".join([*parts, data[end:]]) if parts else data
