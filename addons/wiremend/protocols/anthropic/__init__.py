"""The Anthropic Messages protocol, `POST /v1/messages`, as one value."""

from wiremend.protocols.anthropic import errors, request, whole
from wiremend.protocols.anthropic.answers import CALLS_IN_TEXT, shows
from wiremend.protocols.anthropic.body import repair_body
from wiremend.protocols.anthropic.grammar import Grammar, is_terminal
from wiremend.protocols.anthropic.history import HISTORY_PASSES
from wiremend.protocols.anthropic.read import AnthropicReader, read_request
from wiremend.protocols.anthropic.stream import AnthropicRepairer
from wiremend.protocols.anthropic.usage import USAGE_FORMAT
from wiremend.protocols.anthropic.write import AnthropicWriter, write_request
from wiremend.protocols.base.middle.interface import Translation
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol

ANTHROPIC = Protocol(
    name=WireProtocol.ANTHROPIC_MESSAGES,
    endpoints=request.ENDPOINTS,
    key_header=request.KEY_HEADER,
    token_count=request.TOKEN_COUNT,
    model_list=request.MODEL_LIST,
    model_in_path=None,
    read_request=request.read_request,
    request_wrappers=(),
    client_tools=request.client_tools,
    server_tool_names=request.server_tool_names,
    tool_mentions=request.tool_mentions,
    mention_words=request.MENTION_WORDS,
    tool_choice=request.TOOL_CHOICE,
    schema_form=request.SCHEMA_FORM,
    history_passes=HISTORY_PASSES,
    thinking_binding=request.THINKING_BINDING,
    make_repairer=AnthropicRepairer,
    is_terminal=is_terminal,
    repair_body=repair_body,
    usage_format=USAGE_FORMAT,
    shows=shows,
    fold=whole.fold,
    unfold=whole.unfold,
    calls_in_text=CALLS_IN_TEXT,
    make_grammar=lambda _: Grammar(),
    error_body=errors.error_envelope,
    translation=Translation(
        read_request=read_request,
        write_request=write_request,
        make_reader=AnthropicReader,
        make_writer=AnthropicWriter,
    ),
)
