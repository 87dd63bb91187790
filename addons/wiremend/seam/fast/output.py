"""Parts that replace how mitmproxy writes lines; see `wiremend.seam.fast.paths`."""

import logging
import shutil
import sys
import time
from collections.abc import Sequence

from mitmproxy import ctx, http, log
from mitmproxy.addons.dumper import Dumper
from mitmproxy.addons.termlog import TermLogHandler
from mitmproxy.utils import human, strutils

from wiremend.seam.fast.messages import Replacement

# log_lines


def log_lines() -> Sequence[Replacement]:
    """Replace `emit`, which writes a line and its end, and the repeated formatting of a second.

    If the output has no buffer, each is a system call.
    """
    original_emit = TermLogHandler.emit
    original = log.MitmFormatter.formatTime
    milliseconds = log.MitmFormatter.default_msec_format
    shown: tuple[int, str] = -1, ""

    def format_time(
        formatter: log.MitmFormatter, record: logging.LogRecord, datefmt: str | None = None
    ) -> str:
        nonlocal shown
        is_usual = type(formatter) is log.MitmFormatter and formatter.converter is time.localtime
        if datefmt is not None or not is_usual:
            return original(formatter, record, datefmt)
        second, text = shown
        if second != int(record.created):
            second = int(record.created)
            text = time.strftime(formatter.default_time_format, time.localtime(second))
            shown = second, text
        return milliseconds % (text, record.msecs)

    def emit(handler: TermLogHandler, record: logging.LogRecord) -> None:
        if handler.file is None:  # there is no console
            original_emit(handler, record)
            return
        try:
            handler.file.write(f"{handler.format(record)}\n")
        except OSError:
            sys.exit(1)

    return [(log.MitmFormatter, "formatTime", format_time), (TermLogHandler, "emit", emit)]


# flow_lines

_NEVER_CUT = 50
"""The length of addresses that are shown whole in a terminal of any width."""
_CODE_COLORS = {2: "green", 3: "magenta", 4: "red", 5: "red"}


def flow_lines() -> Sequence[Replacement]:
    """Replace `echo_flow`, which asks for the size of the terminal, and reads options, each time.

    The width matters only for long addresses.
    """
    original = Dumper.echo_flow

    def echo_flow(dumper: Dumper, flow: http.HTTPFlow) -> None:
        response = flow.response
        if response is None or not _is_usual(flow, response) or type(dumper) is not Dumper:
            original(dumper, flow)
            return
        client = human.format_address(flow.client_conn.peername)
        first = _request_line(dumper, flow.request, client)
        second = _response_line(dumper, response, client)
        dumper.outfp.write(f"{first}\n{second}\n")
        dumper.outfp.flush()

    return [(Dumper, "echo_flow", echo_flow)]


def _is_usual(flow: http.HTTPFlow, response: http.Response) -> bool:
    """Whether the flow is shown on two lines, without anything unusual in them."""
    return (
        ctx.options.flow_detail == 1
        and flow.error is None
        and flow.is_replay is None
        and bool(flow.client_conn.peername)
        and flow.request.data.http_version == response.data.http_version == b"HTTP/1.1"
        and "h2-pushed-stream" not in flow.metadata
    )


def _request_line(dumper: Dumper, request: http.Request, client: str) -> str:
    color = {"GET": "green", "DELETE": "red"}.get(request.method.upper(), "magenta")
    method = dumper.style(_escaped(request.method), fg=color, bold=True)
    url = request.pretty_url if ctx.options.showhost else request.url
    if len(url) > _NEVER_CUT:
        width = max(shutil.get_terminal_size()[0] - 25, _NEVER_CUT)
        url = url if len(url) <= width else f"{url[:width]}…"
    return f"{_escaped(client)}: {method} {dumper.style(_escaped(url), bold=True)}"


def _response_line(dumper: Dumper, response: http.Response, client: str) -> str:
    status = response.status_code
    color = _CODE_COLORS.get(status // 100)
    code = dumper.style(str(status), fg=color, bold=True, blink=status == 418)
    reason = dumper.style(_escaped(response.reason), fg=color, bold=True)
    content = response.raw_content
    size = "(content missing)" if content is None else human.pretty_size(len(content))
    arrows = " " * max(0, len(client) - 2) + dumper.style(" <<", bold=True)
    return f"{arrows} {code} {reason} {dumper.style(size, bold=True)}"


def _escaped(text: str) -> str:
    return text if text.isprintable() else strutils.escape_control_characters(text)
