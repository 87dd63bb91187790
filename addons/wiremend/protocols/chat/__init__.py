"""The OpenAI Chat Completions protocol, `POST /v1/chat/completions`, as one value."""

from wiremend.protocols.base import openai
from wiremend.protocols.base.middle.interface import Translation
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.chat import request, whole
from wiremend.protocols.chat.answers import CALLS_IN_TEXT, shows
from wiremend.protocols.chat.body import repair_body
from wiremend.protocols.chat.grammar import Grammar, is_terminal
from wiremend.protocols.chat.history import HISTORY_PASSES
from wiremend.protocols.chat.read import ChatReader, read_request
from wiremend.protocols.chat.stream import ChatRepairer
from wiremend.protocols.chat.usage import USAGE_FORMAT
from wiremend.protocols.chat.write import ChatWriter, write_request

CHAT = Protocol(
    name=WireProtocol.CHAT_COMPLETIONS,
    endpoints=request.ENDPOINTS,
    key_header=openai.KEY_HEADER,
    token_count=None,
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
    make_repairer=ChatRepairer,
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
        make_reader=ChatReader,
        make_writer=ChatWriter,
    ),
)
