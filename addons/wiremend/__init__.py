"""wiremend: repair the traffic between AI coding agents and model providers, inside mitmproxy.

This is the map of the library. All paths are relative to this directory. The directory above it
contains the shells, the files that mitmproxy loads: each declares hooks and the features that it
adds to a call, and contains no further logic.

    client ─ request ─► recognise ─► plan_call ─► for each target: (translate) ─► adapt ─► send
    client ◄─ bytes ── engine (hold, retry, beat, end) ◄─ (translate) ◄─ repair ◄─ names ◄─ decode

Three nouns, each with one home, and three verbs:

    protocol    a wire format: Anthropic Messages, Chat Completions, Responses, Gemini  protocols/
    call        one HTTP request from an agent to a model provider                      engine/
    target      a provider and model that a call may be sent to                         targets/

    repair      a response: make it valid in the client's protocol                      repair/
    adapt       a request: make it acceptable to one target                             adapt/
    translate   a request into another protocol, and its answer back                    translate/

Packages and modules, from the bottom to the top. A layer imports only layers above it in this list;
`tests/house/test_house_rules.py` checks that. Only `seam/`, `views/`, `recording/`, the shells and
the scripts of the pytest plugin (`testing/inside_proxy/`) import mitmproxy. Everything below
`seam/` is deterministic: time, randomness and bytes are arguments.

    value_class.py  a decorator for the values that are created for every call
    text/           bytes and their formats, without protocols: server-sent events, JSON, content
                    codings, tool calls that models write as text
    requirements.py what the Python environment must contain
    environment_check.py   ends the program with a sentence if it does not
    rules/          the types of a rule, a finding and the place of a finding
    protocols/base/ what a protocol consists of: the type `Protocol`, the interface of repairers,
                    request documents, errors of providers, traits of targets and clients; `middle/`
                    is the middle form of translation
    targets/        facts about providers, one file per vendor
    clients.py      facts about clients, such as Codex or Claude Code
    call_record/    the schema of `flow.metadata["wiremend"]`: what is recorded of a call, and the
                    limits of the traffic that is kept
    held_memory.py  how much memory all calls hold, and the limit
    identities.py   which parts identify a person, machine, account or session, and stand-ins
    secrets.py      which headers, parameters and values are credentials, and redacting them
    body_secrets.py credentials in bodies: those for MCP servers, and keys that providers issue
    protocols/      one package per protocol, with the same file names in each: `grammar` (what is
                    valid), `stream` and `body` (repairing responses), `request`, `history`
                    (adapting messages), `errors`, `read` and `write` (the middle form of
                    translation); `registry` lists the protocols; rules on messages that protocols
                    share are in `base/message_rules/`
    translate/      a request in another protocol, and its answer; the rules on what is lost
    repair/         one attempt's response, from bytes to repaired events; names restored, calls
                    that leaked into text
    adapt/          the passes over a request for one target, and what rejections teach
    routing/        the targets of a call: routes, providers and keys, model lists, token counts
    engine/         the life of a call: planning, attempts, retries, keep-alives, endings
    faults/         deliberate faults: a provider's answer as a broken provider would send it
    seam/           carries calls inside mitmproxy; lists all undocumented behaviour it relies on
    views/          what a person sees in mitmweb, the console and the log; `content/` builds the
                    views of a call as text, and is pure
    recording/      reading recordings of traffic: flow files, HAR files, JSON Lines, bodies;
                    writing them, with stand-ins for identities; matching requests with them
    catalogue.py    all rules, and the page of them (addons/RULES.md)
    config/         the configuration file, from TOML to the engine's settings; consent to it; its
                    keys are in `model`, `routes`, `providers` and `attempt_limits`, the types of
                    their values in `values`, what is only warned about in `suspicious`
    check/          the command `check`: faults in recorded traffic, and the formats of its report
    launch/         running a command behind the proxy, recorded or replayed or neither: CA,
                    environment, processes; explaining the configuration; `examining/` the
                    machine and its agents; `importing/` turns the configurations of other
                    proxies into ours
    testing/        the pytest plugin: a proxy as a subprocess, a scripted provider on loopback, one
                    that serves a recording, and cassettes
    __main__.py     the command line: `wiremend COMMAND`

How one call travels through the files:

 1. Request. mitmproxy parses it. `seam/stream_layer.py` takes over at the moment when mitmproxy
    would connect to the provider.
 2. Recognise. `protocols/registry.py` determines the protocol by method, path and content type, and
    reads the model and whether the call streams. Any other request is left to mitmproxy.
 3. plan_call. `engine/plan.py` decides everything once, in the order of its `STEPS`: the targets
    (`routing/match.py`, `routing/providers.py`), the requests adapted to them, and the limits. The
    result is a frozen `Call` (`engine/call.py`).
 4. Translate. `routing/translation.py` writes the request in the protocol of a target that has
    another one than the client. Requests and answers in one protocol are never translated.
 5. Adapt. `adapt/passes.py` runs its passes over the request for each target: tools and their
    schemas, messages and parameters (`protocols/base/history.py`), refused fields and headers. What
    a target accepts is in `targets/`; `adapt/rejection_recovery.py` learns from rejections.
 6. Engine and seam. `engine/call_machine.py` receives events (connected, head, body, ...) with the
    time, and returns actions. `seam/stream_layer.py` executes the actions on mitmproxy's
    connections: `seam/upstream_side.py` the attempts, `seam/client_side.py` the response.
 7. Repair. `engine/response_reader.py` decodes the body (`text/content_coding.py`) and passes it to
    `repair/stream.py`, which uses the repairer of the protocol: `protocols/anthropic/stream.py` for
    Anthropic. The names of model and tools that the client used are restored.
 8. Translate back. `engine/translation/answers.py` puts the repaired answer into the client's
    protocol, event by event; from there on, only that protocol is seen.
 9. Client. `engine/client_response.py` decides what is held back and what is sent.
    `seam/flow_record.py` records the call in its flow,
    `views/flow_findings.py` shows the outcome in the list, `views/content/` the call as text, and
    `views/redaction.py` removes secrets from the flow.

Where to find the answer:

    what may an Anthropic stream contain?   protocols/anthropic/grammar.py
    how is a cut tool call ended?           protocols/base/cut_content.py: as an error, never as a
                                            success; engine/endings.py for the form of the error
    which schemas does Gemini take?         `GEMINI` in adapt/schema_dialects.py; names of tools in
                                            targets/google.py
    when is a call retried?                 engine/retry.py (which errors, how often, after how
                                            long), engine/recovery.py (what follows a failure),
                                            engine/fallback.py (the next target)
    what does Codex need?                   the family `codex` in clients.py; its traits are
                                            documented in protocols/base/client_traits.py
    what is redacted?                       secrets.py (what), views/redaction.py (where);
                                            identities.py (in recordings, besides)
    what does provider X refuse?            targets/X.py
    which timeouts are there?               engine/deadlines.py (when each starts), config/model.py
                                            (defaults)
    when is a recorded call served?         recording/normal_form.py (what is equal),
                                            recording/cassette.py (which one)
    what does mitmproxy have to do?         seam/__init__.py
"""

__version__ = "0.1.0"
