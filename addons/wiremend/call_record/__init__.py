"""What is recorded of a call, in `flow.metadata["wiremend"]`: the schema, version 1.

The record is output. The seam writes it, anew at each change of the call's state
(`wiremend.seam.flow_record`); views, the checker and other programs read it with
`load.load_record(flow.metadata)`, which never raises. No decision about a call is based on it.
It is plain data, so that it is in every file that mitmproxy saves; stock mitmproxy loads it.

`schema.CallRecord` has these fields. Times are seconds since `started_at`.

    version            1; grows when a field changes its meaning or goes away
    protocol           the client's protocol: `anthropic-messages`, `chat-completions`, `responses`,
                       `gemini`; empty: none was recognised
    client             `claude-code`, `codex`, `opencode`, `gemini-cli`, …; empty: unknown
    model_asked        the model that the client asked for
    model_used         the model that the last provider was asked for
    provider, host     who was asked last; of an answered call: who answered
    outcome            one of the states below
    detail             the outcome in more words, such as `error 502 in the stream`
    started_at         when the call was planned or refused, in seconds since the epoch
    head_seconds       when the client was first sent anything
    end_seconds        when the outcome was known
    request_findings   what rules found in the request
    response_findings  what rules found in responses and attempts
    attempts           one entry for each attempt, in order
    usage              token counts of the response: `input_tokens`, `output_tokens`, and as parts
                       of these `cached_tokens`, `cache_write_tokens`, `reasoning_tokens`
    client_request     what the client sent; None unless traffic is kept
    client_response    what the client got; None unless traffic is kept

A finding has `code`, `place`, `where` (the place as text), `found` and `done`. A place is an object
with a `kind`: `event` (`number`), `body` (`path`: keys and indices), `attempt` (`number`), `header`
(`name`) or `part` (`part`: `request`, `path`, `response` or `end`).

An attempt has `number`, `provider`, `model`, `outcome`, `detail`, `start_seconds`, `end_seconds`,
`wait_seconds` (until the next attempt), and `request` and `response`, which are None unless traffic
is kept.

Outcomes (`outcomes.CallState`) and those of attempts (`outcomes.AttemptOutcome`):

    planned            no attempt has been started
    running            an attempt is under way, or the next one waits
    answered           the client has a whole response without an error
    failed             the client has an error, or a response that was cut
    cancelled          the client left, or someone killed the flow
    refused            the proxy answered with an error of its own and sent nothing upstream
    acknowledged       fire-and-forget: the client has a 204
    internal-fault     a fault in wiremend ended the call
    passed             no call: mitmproxy carried the request, and wiremend noted findings

    running            the attempt has not ended
    answered           the client has the response of this attempt
    failed             a connection failure, a limit, an error, or an incomplete response
    rejected           the provider rejected the request, which was changed and sent again
    stale              a reused connection was closed; the request was sent on a new one
    cancelled          the client left

Traffic that is kept (`client_request`, `client_response`, `request` and `response` of attempts) has
headers and a `body` with its bytes (`data`, bounded), its `size`, and for each of its `chunks` the
time and the end in `data`. The bytes are `kept_bytes.KeptBytes`, whose text is short.

    outcomes.py     the states; nothing else is needed by the engine
    schema.py       the fields, as pydantic models
    plain.py        values of the library as plain data
    load.py         reading a record back
    kept_bytes.py   bytes that may be large
"""
