"""Cassettes of the pytest plugin, in runs of pytest of its own: replayed, recorded, with faults."""

import stat
from pathlib import Path

import pytest
from testing.test_plugin import CONFTEST
from wiremend.testing.certificates import Authority
from wiremend.testing.provider import ScriptedProvider
from wiremend.testing.proxy import Proxy

pytest_plugins = ["pytester"]

SECRET = "sk-ant-api03-not-for-the-recording"
TEXT = """
import pytest
from wiremend.call_record.outcomes import CallState

ANSWER = {"answer": "anthropic-messages"}
SCRIPT = [ANSWER]

MARK
def test_it(wiremend, wiremend_provider, ask):
    wiremend_provider.script(SCRIPT)
    with ask(PROMPT) as response:
        assert "message_stop" in response.read().decode()
    assert len(wiremend_provider.received) == REACHED
"""
CASSETTE = '@pytest.mark.wiremend(cassette="hello.mitm")'
ASKING = """
@pytest.fixture
def ask(wiremend):
    context = ssl.create_default_context(cafile=wiremend.env["SSL_CERT_FILE"])
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({"https": wiremend.env["HTTPS_PROXY"]}),
        urllib.request.HTTPSHandler(context=context),
    )

    def open_call(prompt="Say hello."):
        body = {"model": "claude-opus-5", "max_tokens": 9, "stream": True,
                "messages": [{"role": "user", "content": prompt}]}
        headers = {"content-type": "application/json", "x-api-key": "SECRET"}
        request = urllib.request.Request(
            "https://api.anthropic.com/v1/messages", json.dumps(body).encode(), headers)
        return opener.open(request)

    return open_call
""".replace("SECRET", SECRET)


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    for name in ("CI", "BUILD_NUMBER"):  # they make pytest repeat whole messages in its summary
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest(CONFTEST.partition("@pytest.fixture")[0] + ASKING)
    pytester.makeini("[pytest]\naddopts = -p no:anyio --strict-markers -p no:cacheprovider\n")
    return pytester


def run(
    project: pytest.Pytester,
    mode: str = "",
    *arguments: str,
    mark: str = CASSETTE,
    prompt: str = "Say hello.",
    reached: int = 0,
    more: str = "",
) -> pytest.RunResult:
    text = TEXT.replace("MARK", mark).replace("PROMPT", repr(prompt)) + more
    project.makepyfile(text.replace("REACHED", str(reached)))
    modes = [f"--wiremend-record={mode}"] if mode else []
    return project.runpytest_subprocess("-W", "error", *modes, *arguments)


def cassette(project: pytest.Pytester) -> Path:
    return project.path / "cassettes" / "hello.mitm"


def recorded(project: pytest.Pytester) -> bytes:
    run(project, "once", reached=1).assert_outcomes(passed=1)
    return cassette(project).read_bytes()


def only_file(project: pytest.Pytester) -> bool:
    return [path.name for path in cassette(project).parent.iterdir()] == ["hello.mitm"]


@pytest.mark.long
def test_a_call_is_recorded_once_and_replayed_from_then_on(project: pytest.Pytester) -> None:
    result = run(project, "once", reached=1)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "wiremend: record mode once",
            "wiremend: *::test_it: recorded *cassettes/hello.mitm (* kB)",
        ]
    )
    data = cassette(project).read_bytes()
    assert SECRET.encode() not in data
    assert stat.S_IMODE(cassette(project).stat().st_mode) == 0o600
    assert only_file(project)
    for mode in ("once", "none", ""):
        result = run(project, mode)
        result.assert_outcomes(passed=1)
        assert ": recorded " not in result.stdout.str()
    assert cassette(project).read_bytes() == data


@pytest.mark.long
def test_a_changed_request_fails_the_test_and_shows_the_difference(
    project: pytest.Pytester,
) -> None:
    recorded(project)
    swallowed = """
    import urllib.error
"""
    result = run(project, prompt="Say goodbye.", more=swallowed)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*HTTPError: HTTP Error 400*",
            "*- wiremend cassette: hello.mitm -*",
            "request 1 is not in hello.mitm: POST api.anthropic.com/v1/messages *",
            "  the nearest recorded one is call 1; it differs in:",
            "*messages*content*",
            "*- Say hello.",
            "*+ Say goodbye.",
            "not requested: call 1, *",
            "to record again, on purpose: pytest --wiremend-record=rewrite '*::test_it'",
        ]
    )


SWALLOWED = """
import urllib.error

MARK
def test_swallowed(wiremend, ask):
    ask().close()
    with pytest.raises(urllib.error.HTTPError) as error:
        ask("Say goodbye.")
    error.value.close()
"""


@pytest.mark.long
def test_a_request_that_is_not_recorded_fails_a_test_that_ignores_the_error(
    project: pytest.Pytester,
) -> None:
    recorded(project)
    result = run(project, "", "-k", "swallowed", more=SWALLOWED.replace("MARK", CASSETTE))
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "request 2 is not in hello.mitm: *",
            "*+ Say goodbye.",
            "1 of 1 recorded calls replayed from hello.mitm; 1 request not in it",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    assert result.stdout.str().count("+ Say goodbye.") == 1 + 1  # and in the log of the proxy


@pytest.mark.long
def test_a_test_that_requests_nothing_fails(project: pytest.Pytester) -> None:
    recorded(project)
    project.makepyfile(f"import pytest\n{CASSETTE}\ndef test_it(wiremend): pass\n")
    result = project.runpytest_subprocess("-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["nothing was requested from the cassette *hello.mitm: *env*"])


@pytest.mark.long
def test_rewrite_replaces_a_cassette_only_if_the_test_passes(project: pytest.Pytester) -> None:
    before = recorded(project)
    result = run(project, "rewrite", prompt="Say goodbye.", reached=2)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["wiremend: *::test_it: not recorded: the test did not pass"])
    assert cassette(project).read_bytes() == before
    assert only_file(project)
    run(project, "rewrite", prompt="Say goodbye.", reached=1).assert_outcomes(passed=1)
    after = cassette(project).read_bytes()
    assert b"Say goodbye." in after
    assert b"Say hello." not in after
    assert only_file(project)
    run(project, prompt="Say goodbye.").assert_outcomes(passed=1)


@pytest.mark.long
def test_all_appends_to_a_cassette(project: pytest.Pytester) -> None:
    before = recorded(project)
    run(project, "all", prompt="Say goodbye.", reached=1).assert_outcomes(passed=1)
    assert cassette(project).read_bytes().startswith(before)
    assert stat.S_IMODE(cassette(project).stat().st_mode) == 0o600
    for prompt in ("Say hello.", "Say goodbye."):
        run(project, prompt=prompt).assert_outcomes(passed=1)


@pytest.mark.long
def test_all_appends_to_flow_files_only(project: pytest.Pytester) -> None:
    cassette(project).parent.mkdir()
    cassette(project).write_text('{"log": {}}')
    result = run(project, "all", reached=1)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*hello.mitm is no flow file, so calls cannot be appended; *"])
    assert cassette(project).read_text() == '{"log": {}}'
    assert only_file(project)


EPISODES = """
MARK
def test_several(wiremend, wiremend_provider, ask):
    wiremend_provider.script(SCRIPT)
    for prompt in ("Say hello.", "Say goodbye.", "Say hello."):
        with ask(prompt) as response:
            assert "message_stop" in response.read().decode()
    wiremend.assert_no_failures()
    assert len(wiremend_provider.received) == REACHED
""".replace("MARK", CASSETTE)


@pytest.mark.long
def test_new_episodes_are_appended_and_others_replayed(project: pytest.Pytester) -> None:
    before = recorded(project)
    result = run(project, "new-episodes", "-k", "several", reached=1, more=EPISODES)
    result.assert_outcomes(passed=1, deselected=1)
    result.stdout.fnmatch_lines(["wiremend: *: recorded *cassettes/hello.mitm (* kB appended)"])
    data = cassette(project).read_bytes()
    assert data.startswith(before)
    assert data.count(b"Say hello.") == before.count(b"Say hello.")
    assert b"Say goodbye." in data[len(before) :]
    assert SECRET.encode() not in data
    assert stat.S_IMODE(cassette(project).stat().st_mode) == 0o600
    assert only_file(project)
    for mode in ("new-episodes", "none"):
        result = run(project, mode, "-k", "several", more=EPISODES)
        result.assert_outcomes(passed=1, deselected=1)
        assert ": recorded " not in result.stdout.str()
    assert cassette(project).read_bytes() == data


@pytest.mark.long
def test_new_episodes_record_a_cassette_that_is_missing(project: pytest.Pytester) -> None:
    run(project, "new-episodes", reached=1).assert_outcomes(passed=1)
    run(project).assert_outcomes(passed=1)


@pytest.mark.long
def test_new_episodes_are_kept_only_if_the_test_passes(project: pytest.Pytester) -> None:
    before = recorded(project)
    result = run(project, "new-episodes", "-k", "several", reached=2, more=EPISODES)
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(["wiremend: *_several: not recorded: the test did not pass"])
    assert cassette(project).read_bytes() == before
    assert only_file(project)


@pytest.mark.long
@pytest.mark.parametrize("workers", ["0", "2"])
def test_tests_that_share_a_cassette_all_append_to_it(
    workers: str, project: pytest.Pytester
) -> None:
    recorded(project)
    prompts = [f"Say {number}." for number in range(4)]
    sharing = f"""
@pytest.mark.parametrize("prompt", {prompts})
@pytest.mark.wiremend(cassette="hello.mitm")
def test_sharing(prompt, wiremend, wiremend_provider, ask):
    wiremend_provider.script(SCRIPT)
    ask(prompt).close()
"""
    arguments = ("-n", workers, "-k", "sharing")
    run(project, "new-episodes", *arguments, more=sharing).assert_outcomes(passed=4)
    data = cassette(project).read_bytes()
    assert all(prompt.encode() in data for prompt in prompts)
    run(project, "none", *arguments, more=sharing).assert_outcomes(passed=4)


@pytest.mark.long
def test_new_episodes_of_a_test_with_faults_are_not_recorded(project: pytest.Pytester) -> None:
    before = recorded(project)
    more = FAULTY.replace("FAULTS", "RESET").replace("ask()", "ask('Say goodbye.')")
    result = run(project, "new-episodes", "-k", "faulty", more=more)
    result.assert_outcomes(failed=1, deselected=1)
    result.stdout.fnmatch_lines(
        [
            "request 1 is not in hello.mitm: *",
            "to record again, on purpose: --wiremend-record=rewrite, in a test without faults: *",
        ]
    )
    assert cassette(project).read_bytes() == before


AT_A_COMPANY = """
MARK
def test_network(wiremend, ask):
    with ask() as response:
        assert "message_stop" in response.read().decode()
""".replace("MARK", CASSETTE)


@pytest.mark.long
def test_providers_are_reached_as_in_the_environment_of_pytest(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A company's proxy replaces the certificates of providers by its own."""
    authority = Authority(tmp_path / "authority")
    leaf = authority.leaf("api.anthropic.com")
    for name in ("https_proxy", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ScriptedProvider(leaf, tmp_path) as provider:
        provider.script([{"answer": "anthropic-messages"}])
        hosts = {"api.anthropic.com": provider.port}
        with Proxy(tmp_path / "company", authority, hosts, scripts=()) as company:
            monkeypatch.setenv("HTTPS_PROXY", company.url)
            monkeypatch.setenv("SSL_CERT_FILE", str(company.ca_file))
            for mode in ("once", "none"):
                result = run(project, mode, "-k", "network", more=AT_A_COMPANY)
                result.assert_outcomes(passed=1, deselected=1)
        assert len(provider.received) == 1


@pytest.mark.long
def test_a_proxy_that_cannot_be_used_is_explained(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    result = run(project, "once", "-k", "network", more=AT_A_COMPANY)
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*::test_network: HTTPS_PROXY: socks5:// is not an HTTP proxy; *"])


@pytest.mark.long
def test_two_tests_do_not_replace_each_others_cassette(project: pytest.Pytester) -> None:
    second = CASSETTE + "\ndef test_second(wiremend, wiremend_provider, ask): pass\n"
    result = run(project, "rewrite", reached=1, more=second)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*hello.mitm was just recorded by *::test_it; give each test *"])


@pytest.mark.long
def test_nothing_recorded_is_an_error(project: pytest.Pytester) -> None:
    project.makepyfile(f"import pytest\n{CASSETTE}\ndef test_it(wiremend): pass\n")
    result = project.runpytest_subprocess("-W", "error", "--wiremend-record=once")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*no calls were recorded, so *hello.mitm was not written: *"])
    assert list(cassette(project).parent.iterdir()) == []


UNUSABLE = {
    "missing": (
        None,
        "",
        "there is no cassette *hello.mitm: record it with --*=once",
    ),
    "no recording": (b"<html>", "", "*hello.mitm cannot be replayed: *"),
    "empty": (b"", "", "*hello.mitm cannot be replayed: *"),
    "new calls": (b"<html>", "new-episodes", "*hello.mitm cannot be replayed: *"),
}


@pytest.mark.first_row
@pytest.mark.first_row
@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_cassette_is_explained(case: str, project: pytest.Pytester) -> None:
    content, mode, message = UNUSABLE[case]
    if content is not None:
        cassette(project).parent.mkdir()
        cassette(project).write_bytes(content)
    result = run(project, mode)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*::test_it: {message}"])
    assert "Traceback" not in result.stdout.str()
    assert "proxy.py" not in result.stdout.str()


WRONG_MARKS = {
    "cassette=3": "cassette: expected the name of a file, got 3",
    'cassette="hello.mitm", match="exact"': "match: expected one of messages, strict, order, *",
    'faults="none.toml"': "faults: *none.toml cannot be read: No such file or directory",
    "faults=3": "faults: expected the path of a file, a table, or a list of tables",
    'faults={"kind": None}': "faults: None is no string, number, boolean or list of them",
    'faults={"kind": "rest"}': "*rest*",
}


@pytest.mark.first_row
@pytest.mark.first_row
@pytest.mark.parametrize("arguments", WRONG_MARKS)
def test_a_wrong_marker_is_explained(arguments: str, project: pytest.Pytester) -> None:
    result = run(project, mark=f"@pytest.mark.wiremend({arguments})")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*{WRONG_MARKS[arguments]}"])
    assert "Traceback" not in result.stdout.str()


@pytest.mark.first_row
@pytest.mark.first_row
@pytest.mark.parametrize("place", ["option", "ini file"])
def test_an_unknown_mode_stops_the_run(place: str, project: pytest.Pytester) -> None:
    if place == "option":
        result = run(project, "sometimes")
        result.stderr.fnmatch_lines(["*--wiremend-record: invalid choice: 'sometimes' *"])
    else:
        project.makeini("[pytest]\nwiremend_record = sometimes\n")
        result = run(project)
        result.stderr.fnmatch_lines(["*wiremend_record: 'sometimes' is not one of none, once, *"])
    assert result.ret == pytest.ExitCode.USAGE_ERROR


@pytest.mark.long
def test_the_ini_file_sets_the_mode_the_folder_and_the_level(project: pytest.Pytester) -> None:
    ini = "[pytest]\naddopts = -p no:anyio\nwiremend_cassettes = data/model-calls\n"
    project.makeini(ini + "wiremend_record = once\nwiremend_match = order\n")
    run(project, reached=1).assert_outcomes(passed=1)
    assert (project.path / "data" / "model-calls" / "hello.mitm").is_file()
    run(project, prompt="Say goodbye.").assert_outcomes(passed=1)
    strict = '@pytest.mark.wiremend(cassette="hello.mitm", match="messages")'
    run(project, mark=strict, prompt="Say goodbye.").assert_outcomes(failed=1)


FAULTY = """
import pathlib

RETRY = "[retry]\\nbackoff_initial = 0.01\\n"
RESET = {"kind": "reset", "at": "after-head", "call": 1}

@pytest.mark.wiremend(faults=FAULTS)
@pytest.mark.wiremend(cassette="hello.mitm", config=RETRY)
def test_faulty(wiremend, ask):
    with ask() as response:
        assert "message_stop" in response.read().decode()
    assert len(wiremend.attempts) == 2
    wiremend.assert_no_failures()
"""


@pytest.mark.long
@pytest.mark.first_row
@pytest.mark.first_row
@pytest.mark.parametrize("faults", ["RESET", "[RESET]", "{'faults': [RESET], 'seed': 3}", "FILE"])
def test_faults_are_injected_into_replayed_answers(faults: str, project: pytest.Pytester) -> None:
    recorded(project)
    if faults == "FILE":
        file = '[[faults]]\nkind = "reset"\nat = "after-head"\n'
        project.path.joinpath("faults.toml").write_text(file)
        faults = "'faults.toml'"
    result = run(project, "", "-k", "faulty", more=FAULTY.replace("FAULTS", faults))
    result.assert_outcomes(passed=1, deselected=1)


@pytest.mark.long
def test_faults_are_not_recorded(project: pytest.Pytester) -> None:
    more = FAULTY.replace("FAULTS", "RESET")
    result = run(project, "once", "-k", "faulty", more=more)
    result.assert_outcomes(errors=1, deselected=1)
    result.stdout.fnmatch_lines(["*record it with *, in a test without faults: faults are not *"])
    result = run(project, "rewrite", reached=1, more=more)
    result.assert_outcomes(passed=2)


@pytest.mark.long
def test_without_repairs_an_agent_sees_the_faults(project: pytest.Pytester) -> None:
    recorded(project)
    plain = """
import urllib.error

@pytest.mark.wiremend(cassette="hello.mitm", plain=True, faults={"kind": "http-error"})
def test_plain(wiremend, ask):
    with pytest.raises(urllib.error.HTTPError, match="503") as error:
        ask()
    error.value.close()
"""
    result = run(project, "", "-k", "plain", more=plain)
    result.assert_outcomes(passed=1, deselected=1)


@pytest.mark.long
def test_workers_of_xdist_record_and_report(project: pytest.Pytester) -> None:
    result = run(project, "once", "-n", "2", reached=1)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["wiremend: *::test_it: recorded *cassettes/hello.mitm (* kB)"])
    run(project, "", "-n", "2").assert_outcomes(passed=1)
