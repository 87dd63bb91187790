"""The OpenAI Responses protocol, `POST /v1/responses`, as one value."""

from wiremend.protocols.base import openai
from wiremend.protocols.base.middle.interface import Translation
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.responses import request, whole
from wiremend.protocols.responses.answers import CALLS_IN_TEXT, shows
from wiremend.protocols.responses.body import repair_body
from wiremend.protocols.responses.grammar import Grammar, is_terminal
from wiremend.protocols.responses.history import HISTORY_PASSES
from wiremend.protocols.responses.read import ResponsesReader, read_request
from wiremend.protocols.responses.stream import ResponsesRepairer
from wiremend.protocols.responses.usage import USAGE_FORMAT
from wiremend.protocols.responses.write import make_writer, write_request

RESPONSES = Protocol(
    name=WireProtocol.RESPONSES,
    endpoints=request.ENDPOINTS,
    key_header=openai.KEY_HEADER,
    token_count=request.TOKEN_COUNT,
    model_list=openai.MODEL_LIST,
    model_in_path=None,
    read_request=request.read_request,
    request_wrappers=(),
    client_tools=request.client_tools,
    server_tool_names=request.server_tool_names,
    tool_mentions=request.tool_mentions,
    mention_words=request.MENTION_WORDS,
    tool_choice=request.TOOL_CHOICE,
    schema_form=openai.SCHEMA_FORM,
    history_passes=HISTORY_PASSES,
    thinking_binding=None,
    make_repairer=ResponsesRepairer,
    is_terminal=is_terminal,
    repair_body=repair_body,
    usage_format=USAGE_FORMAT,
    shows=shows,
    fold=whole.fold,
    unfold=whole.unfold,
    calls_in_text=CALLS_IN_TEXT,
    make_grammar=Grammar,
    error_body=openai.error_envelope,
    translation=Translation(
        read_request=read_request,
        write_request=write_request,
        make_reader=ResponsesReader,
        make_writer=make_writer,
    ),
)
