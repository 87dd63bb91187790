"""The middle form of translation: a request or an answer, independent of its protocol.

A call in protocol A that a provider of protocol B answers takes this way. Each step is pure.

    A's body ─ A.read_request ─► Conversation ─ B.write_request ─► B's body
    A's bytes ◄─ A's StreamWriter ◄─ answer events ◄─ B's StreamReader ◄─ B's repaired events

Modules:

    content       the parts of messages: text, media, reasoning, calls, results …
    conversation  a request
    answer        an answer, as a sequence of events
    losses        what could not be carried: findings, and the refusal of a whole request
    interface     what a protocol provides: `Translation`, with its readers and writers
    state         reasoning state of a provider, and the envelope in which clients return it
    call_ids      ids of tool calls that are unique in a conversation
    members       taking apart a JSON object whose unknown members are kept in `own`
    wording       what is written for the model where a protocol has no word
    function_tools  the tools of a request as functions, for targets without other kinds
    sequence      parts that overlap, as parts one after the other
    target        who a request is for, and what it takes

Rules for a reader:

- It reads whatever its own grammar permits and never raises for input that clients send. What it
  does not understand becomes `Opaque` content, or a member of `own` of the enclosing value.
- It gives no opinion on what a target can carry. What must not be lost is listed in
  `Conversation.needs`.
- It copies argument text of calls as it is, and keeps the order of everything.

Rules for a writer:

- A value with `own` of its own protocol is written with these members, so that reading and writing
  in one protocol restores the value. Members of another protocol are not written.
- Everything else that it does not write is reported to `Losses`; where the meaning would change it
  raises `NotCarried`. The driver reports `needs`, and members in `own` of another protocol.
- A conversation of another protocol is settled before (`wiremend.translate.settle`): system text at
  the head is in `system`; empty and private texts are gone; the results of an assistant turn are
  together in the turn behind it, one for each call. One of its own protocol is as it was read.
- The answer to a call of another protocol gets ids and the model name from `AnswerContext`. If
  `origin.protocol` is the writer's own, the provider's are kept.
- A request is a pure function of the conversation and the target: model, system text and tools come
  first, the messages next, and everything that may differ between turns last. The messages of a
  longer conversation begin with the same bytes.
- State that is bound to a text or a call (`Text.state`, `Call.state`, `PartState`) goes where the
  protocol has a place for it; else it is written as reasoning without text, directly before the
  part, or behind it if it came late. The payload must then contain what it is bound to.
- An answer follows the grammar of the protocol whatever the order of the events; the writer assigns
  ids and indices, and writes exactly one terminal event.
"""
