"""What mitmweb, the console and mitmdump show of a call: text, line by line. All of it is pure.

    viewed.py       the input: record, request, response, and these in the middle form
    page.py         the output: bounded lines of a fixed width, without control characters
    view_list.py    the views by name, and rendering one of them, which never raises
    overview.py     the automatic views of a response and of a request
    findings.py     findings, folded by rule
    changes.py      before and after: what was received, and what was passed on
    diff.py         differences of lists of events and of JSON values
    timeline.py     attempts, waits, gaps and keep-alives
    turns.py        since last turn: what a request adds to the one before it
    context.py      what fills the context of a request
    messages.py     the parts of messages, which several views show

The readers of the middle form (`protocols/*/read`) parse requests and answers.
"""
