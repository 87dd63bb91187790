"""The page that documents fault files, addons/FAULTS.md, rendered from `config.fault_file`."""

import inspect
from collections.abc import Mapping

from wiremend.config.fault_file import EXAMPLE, FaultEntry, FaultFile
from wiremend.config.page import keys_of, table
from wiremend.faults.fault import FaultKind

_KINDS: Mapping[FaultKind, str] = {
    FaultKind.RESET: "The connection is reset: before the head, after it, or in an event.",
    FaultKind.STALL: "Nothing more is sent, for `seconds` or until the client or a timeout ends "
    "the call.",
    FaultKind.WRAPPED_ERROR: "A response with status 200 contains an error: instead of an answer, "
    "or after some events.",
    FaultKind.HTTP_ERROR: "An error status, with the provider's envelope in the body.",
    FaultKind.HTML_PAGE: "The page of a server in between, where the client expects JSON.",
    FaultKind.WRONG_INDEX: "The indices of blocks, items or fragments of calls are one too high.",
    FaultKind.CUT_TOOL_JSON: "The arguments of the first tool call end in the middle, and the rest "
    "of the answer is sent.",
    FaultKind.SLOW_DRIP: "The body arrives in small pieces.",
    FaultKind.TRAILERS: "Trailer fields follow the body, which is sent in chunks.",
    FaultKind.BAD_LABEL: "The content type is wrong or missing, or the names of events are.",
}
_FILE_KEYS = ("seed",)
_PAGE = """\
# Fault files

Generated from the code (`scripts/configuration`): change the docstrings in
[wiremend/config/fault_file.py](wiremend/config/fault_file.py), not this page.

A fault file lists faults that wiremend injects into the answers of providers, on purpose:

- with repairs, to see whether your set-up survives them:
  `scripts/run --faults FILE.toml -- COMMAND`;
- without, to see whether your agent does: `scripts/run --plain --faults FILE.toml -- COMMAND`;
- the same with `scripts/record`, or with `mitmdump -s addons/ --set wiremend_faults=FILE.toml`
  (`--plain` is `--set wiremend_off=true` there).

A fault that replaces the whole answer (a reset or stall before or after the head, an HTTP error, a
page, a wrapped error without events before it) needs nothing from the provider, which is not asked.
The answers of other faults are the provider's own, broken on the way. wiremend treats them like
real failures: they are retried, counted by the circuit breaker, and repaired. If an answer has no
place for a fault, such as a cut tool call in an answer without one, the report says so.

The log, the comments of flows and recordings mark every attempt with an injected fault, and
`scripts/check` does not check it. At the end, a report lists these calls and how each one ended;
`--faults-report FILE.json` (`--set wiremend_faults_report=FILE.json`) also writes it as JSON.

```toml
{example}```

## Kinds

| kind | what happens |
|---|---|
{kinds}

## The file

{file_keys}

## `[[faults]]`

{about}

{keys}
"""


def render_fault_page() -> str:
    """Return the page in Markdown."""
    kinds = [f'| `"{kind.value}"` | {text} |' for kind, text in _KINDS.items()]
    file_keys = [key for key in keys_of("faults", FaultFile) if key.name in _FILE_KEYS]
    return _PAGE.format(
        example=EXAMPLE,
        kinds="\n".join(kinds),
        file_keys=table(file_keys).replace("`faults.seed`", "`seed`"),
        about=inspect.cleandoc(FaultEntry.__doc__ or ""),
        keys=table(keys_of("faults[N]", FaultEntry)),
    )
