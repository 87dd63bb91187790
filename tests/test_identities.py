"""Stand-ins for identities: the same everywhere, of the same length, and in valid JSON."""

import json
from typing import Any

import pytest
from wiremend.identities import Machine, StandIns, header_ids, is_stand_in

MACHINE = Machine(
    names=("alice", "Alice Smith", "Zoë Müller", "root"),
    hosts=("alices-mbp.local", "alices-mbp"),
    homes=("/home/alice", "/srv/people/bob", "/root"),
)
ACCOUNT = "3f2c1a9e-1111-2222-3333-444455556666"
DEVICE = "ab12" * 16


def replaced(text: str, ids: dict[bytes, bytes] | None = None) -> str:
    data = StandIns(MACHINE).replaced(text.encode(), ids or {})
    assert len(data) == len(text.encode())
    return data.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in /home/alice/x, as alice", "in /home/name1/x, as name1"),
        ("-home-alice-project", "-home-name1-project"),
        ("%2Fhome%2Falice%2Fx", "%2Fhome%2Fname1%2Fx"),
        (r"C:\\Users\\alice\\x", r"C:\\Users\\name1\\x"),
        (r"\nalice\tAlice Smith", r"\nname1\tname0000002"),
        ("malice, alice2", "malice, alice2"),
        ("Zoë Müller", "name00000003"),
        ("on alices-mbp.local", "on name000000000004"),
        ("/srv/people/bob/y", "/srv/name02/na2/y"),
        ("root of /root/project", "root of /root/project"),
        ("alice@corp.acme.io and b@x.io", "name1@example00.io and 2@e.io"),
        ("noreply@anthropic.com git@github.com", "noreply@anthropic.com git@github.com"),
        (r"\nfoo@acme.io", r"\nna1@exam.io"),
    ],
)
def test_names_paths_and_addresses(text: str, expected: str) -> None:
    assert replaced(text) == expected


@pytest.mark.parametrize("rest", [r"\nick", r"\\nick", r"\trent", r"\u00e9nick"])
@pytest.mark.parametrize("name", ["nick", "rent", "ick"])
def test_json_stays_valid_wherever_a_name_is(rest: str, name: str) -> None:
    stand_ins = StandIns(Machine(names=(name,)))
    json.loads(stand_ins.replaced(f'"{rest} {name}@acme.io"'.encode(), {}))


@pytest.mark.parametrize(
    "key",
    [
        "sk-ant-api03-" + "A" * 90,
        "sk-proj-" + "b" * 48,
        "ghp_" + "c" * 36,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w",
        "-----BEGIN RSA PRIVATE KEY-----\\nMIIEowIBAAKCAQEA\\n",
    ],
)
def test_keys_are_masked_to_their_end(key: str) -> None:
    assert replaced(f'a "{key}" b') == f'a "{"REDACTED".ljust(len(key), "_")}" b'


def test_ids_of_headers_and_fields_get_the_same_stand_in_everywhere() -> None:
    stand_ins = StandIns(MACHINE)
    user = {"device_id": DEVICE, "account_uuid": ACCOUNT}
    fields: Any = {"metadata": {"user_id": json.dumps(user)}, "user": "default"}
    ids = {**stand_ins.learn_fields(fields)}
    ids |= stand_ins.learn_headers([("request-id", "req_011CSHoEeqs5"), ("x-app", ACCOUNT)])
    body = json.dumps(fields | {"text": f"{ACCOUNT} default req_011CSHoEeqs5"}).encode()
    data = json.loads(stand_ins.replaced(body, ids))
    first, second = "0" * 63 + "1", "00000000-0000-0000-0000-000000000002"
    assert json.loads(data["metadata"]["user_id"]) == {
        "device_id": first,
        "account_uuid": second,
    }
    assert data["user"] == "0000003"
    assert data["text"] == f"{second} default req_000000000004"
    later = StandIns(MACHINE)
    assert {**later.learn_fields(fields)}.items() <= ids.items()


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("00000000-0000-0000-0000-000000000012", True),
        ("req_000000000004", True),
        ("0000000000000000-006", True),
        ("req_011CSHoEeqs5", False),
        ("user_1", False),
        ("default", False),
        (ACCOUNT, False),
    ],
)
def test_stand_ins_are_recognised(token: str, expected: bool) -> None:
    assert is_stand_in(token) is expected


def test_a_header_with_json_has_the_ids_in_it() -> None:
    value = json.dumps({"turn": ACCOUNT, "sandbox": "none"})
    assert header_ids("x-codex-turn-metadata", value) == [ACCOUNT]
    assert header_ids("request-id", "abc") == ["abc"]
    assert header_ids("user-agent", "claude-cli/2.1") == []
