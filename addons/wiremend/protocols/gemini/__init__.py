"""The Gemini protocol, `POST …:generateContent` and `…:streamGenerateContent`, as one value."""

from wiremend.protocols.base.middle.interface import Translation
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.gemini import errors, request, whole
from wiremend.protocols.gemini.answers import CALLS_IN_TEXT, shows
from wiremend.protocols.gemini.body import repair_body
from wiremend.protocols.gemini.grammar import Grammar, is_terminal
from wiremend.protocols.gemini.history import HISTORY_PASSES
from wiremend.protocols.gemini.read import GeminiReader, read_request
from wiremend.protocols.gemini.stream import GeminiRepairer
from wiremend.protocols.gemini.usage import USAGE_FORMAT
from wiremend.protocols.gemini.write import GeminiWriter, write_request

GEMINI = Protocol(
    name=WireProtocol.GEMINI,
    endpoints=request.ENDPOINTS,
    key_header=request.KEY_HEADER,
    token_count=request.TOKEN_COUNT,
    model_list=request.MODEL_LIST,
    model_in_path=request.ModelOfPath(),
    read_request=request.read_request,
    request_wrappers=request.REQUEST_WRAPPERS,
    client_tools=request.client_tools,
    server_tool_names=request.server_tool_names,
    tool_mentions=request.tool_mentions,
    mention_words=request.MENTION_WORDS,
    tool_choice=request.TOOL_CHOICE,
    schema_form=request.SCHEMA_FORM,
    history_passes=HISTORY_PASSES,
    thinking_binding=None,
    make_repairer=GeminiRepairer,
    is_terminal=is_terminal,
    repair_body=repair_body,
    usage_format=USAGE_FORMAT,
    shows=shows,
    fold=whole.fold,
    unfold=whole.unfold,
    calls_in_text=CALLS_IN_TEXT,
    make_grammar=lambda context: Grammar(context.array, numeric_enums=context.numeric_enums),
    error_body=errors.error_envelope,
    translation=Translation(read_request, write_request, GeminiReader, GeminiWriter),
)
