"""What users see of a call in mitmweb, the console, mitmdump and the log.

outcome.py        how a call ended: verdict, reason, the comment of the flow list; pure
content/          the views of a call, as text; pure
viewed_flow.py    a flow as the input of these views, and the views as mitmproxy calls them
flow_findings.py  comment, marker and line of the log
call_totals.py    the summary when the proxy ends
redaction.py      removing secrets from flows
"""
