"""The record of a call in `flow.metadata["wiremend"]`: its schema, version 1.

The record is output. The seam rewrites it at each change of the call's state
(`wiremend.seam.flow_record`); views, the checker and other programs read it with
`load.load_record(flow.metadata)`, which never raises. No decision about a call is based on it.
It is plain data, so every file that mitmproxy saves contains it, and stock mitmproxy can load it.

`schema.CallRecord` has these fields. Times are seconds since `started_at`.

    version            1; increases when a field changes its meaning or is removed
    protocol           the client's protocol: `anthropic-messages`, `chat-completions`, `responses`,
                       `gemini`; empty: none was recognised
    client             `claude-code`, `codex`, `opencode`, `gemini-cli`, …; empty: unknown
    model_asked        the model that the client requested
    model_used         the model requested from the last provider
    provider, host     the last provider that was used; for an answered call, the one that
                       answered
    outcome            one of the outcomes below
    detail             a description of the outcome, such as `error 529 in the stream`
    started_at         when the call was planned or refused, in seconds since the epoch
    head_seconds       when the first byte was sent to the client
    end_seconds        when the outcome was known
    request_findings   findings in the request
    response_findings  findings in responses and attempts
    reports_only       whether findings were only reported, and the call passed unchanged
    attempts           one entry for each attempt, in order
    usage              token counts of the response: `input_tokens`, `output_tokens`, and as parts
                       of these `cached_tokens`, `cache_write_tokens`, `reasoning_tokens`
    client_request     what the client sent; None unless traffic is kept
    client_response    what the client received; None unless traffic is kept
    not_kept           why traffic that was to be kept is missing or cut, such as a limit

A finding has `code`, `place`, `where` (the place as text), `found` and `done`. A place is an object
with a `kind`: `event` (`number`), `body` (`path`: keys and indices), `attempt` (`number`), `header`
(`name`) or `part` (`part`: `request`, `path`, `response` or `end`).

An attempt has `number`, `provider`, `model`, `outcome`, `detail`, `start_seconds`, `end_seconds`,
`wait_seconds` (until the next attempt), `injected` (the fault that was injected on purpose), and
`request` and `response`, which are None unless traffic is kept.

Outcomes (`outcomes.CallState`) and those of attempts (`outcomes.AttemptOutcome`):

    planned            no attempt has been started
    running            an attempt is running, or the next one is scheduled
    answered           the client has a complete response without an error
    failed             the client received an error or an incomplete response
    cancelled          the client disconnected, or the flow was killed
    refused            the proxy answered with an error and sent nothing upstream
    acknowledged       fire-and-forget: the client has a 204
    internal-fault     an internal fault of wiremend ended the call
    passed             not a call: mitmproxy forwarded the request, and there are findings

    running            the attempt has not ended
    answered           the client has the response of this attempt
    failed             a connection failure, a limit, an error, or an incomplete response
    rejected           the provider rejected the request, which was changed and sent again
    stale              a reused connection was closed; the request was sent on a new one
    cancelled          the client disconnected

Traffic that is kept (`client_request`, `client_response`, `request` and `response` of attempts) has
headers and a `body` with its bytes (`data`, bounded), its `size`, and for each of its `chunks` the
time and the end in `data`. A body that equals an earlier one is stored as `same_as`, with the name
of that message: an unchanged request is stored once, and so is a response that was not repaired.
The bytes are `kept_bytes.KeptBytes`, whose `repr` is short.

    outcomes.py     the outcomes; the only module that the engine needs
    schema.py       the fields, as pydantic models
    plain.py        conversion of the library's values to plain data
    load.py         reading a record back
    kept_bytes.py   bytes that may be large
    kept_traffic.py the traffic of running calls, and its limits
"""
