"""Facts about MiniMax."""

from wiremend.protocols.base.middle.content import MediaKind
from wiremend.protocols.base.middle.target import ThinkingSwitch
from wiremend.targets.vendor import (
    CHAT,
    MESSAGES,
    RESPONSES,
    LeakedCalls,
    Preset,
    Requirement,
    Vendor,
    of_models,
)
from wiremend.targets.wordings import wording

_FINE_GRAINED_STREAMING = "fine-grained-tool-streaming-2025-05-14"

MINIMAX = Vendor(
    name="minimax",
    hosts=("api.minimax.io", "api.minimaxi.com"),
    models=("minimax-*",),
    translation=(
        of_models(
            ("minimax-*",),
            "reasoning in the content, between `<think>` tags, unless `reasoning_split` is set",
            think_tags=True,
        ),
        of_models(
            ("minimax-*",),
            "`reasoning_split`; only one system message, the first; text only",
            at_gateways=False,
            thinking=ThinkingSwitch(always={"reasoning_split": True}),
            system_in_place=False,
            media=frozenset(),
        ),
        of_models(
            ("minimax-m3*",),
            "`thinking` with the types `adaptive` and `disabled`; earlier models always think; "
            "images",
            at_gateways=False,
            thinking=ThinkingSwitch(
                always={"reasoning_split": True},
                on={"thinking": {"type": "adaptive"}},
                off={"thinking": {"type": "disabled"}},
            ),
            media=frozenset({MediaKind.IMAGE}),
        ),
    ),
    leaked_calls=(
        LeakedCalls(
            formats=("minimax",),
            seen=("MiniMax-AI/MiniMax-M2.5#10", "NousResearch/hermes-agent#35129"),
        ),
    ),
    presets=(
        Preset(
            name="minimax",
            base_url="https://api.minimax.io/v1",
            protocols={"*": "chat"},
            key_variable="MINIMAX_API_KEY",
        ),
        Preset(
            name="minimax-messages",
            base_url="https://api.minimax.io/anthropic",
            protocols={"*": "anthropic"},
            key_variable="MINIMAX_API_KEY",
        ),
        Preset(
            name="minimax-cn",
            base_url="https://api.minimaxi.com/v1",
            protocols={"*": "chat"},
            key_variable="MINIMAX_API_KEY",
        ),
    ),
    requirements=(
        Requirement(
            protocols=MESSAGES,
            strip_custom_type=True,
            refused_betas=(_FINE_GRAINED_STREAMING,),
            reason="`function name or parameters is empty (2013)`: with that beta it streams names "
            "in pieces, and refuses the resulting empty names in the history",
            seen=("gsd-build/gsd-2#4538", "NousResearch/hermes-agent#6861", "routatic/proxy#80"),
        ),
        Requirement(
            protocols=MESSAGES,
            rules=(
                "Q002",  # every result has its call
                "Q109",  # no system message between others
            ),
            reason="`tool result's tool id(…) not found (2013)`; "
            "`chat content has invalid message role: system (2013)`",
            seen=("MiniMax-AI/MiniMax-M2#76",),
        ),
        Requirement(
            protocols=CHAT,
            at_gateways=(),
            rules=("Q309",),  # arguments of calls
            reason="`invalid params, invalid function arguments json string, tool_call_id: … "
            "(2013)`",
            seen=("HKUDS/nanobot#2858", "MiniMax-AI/MiniMax-M2#43", "earendil-works/pi#5468"),
        ),
        Requirement(
            protocols=CHAT | RESPONSES,
            reason="`function parameters is empty (2013)`: the basic repairs are sufficient",
            seen=("QwenLM/qwen-code#11905",),
        ),
    ),
    rejections=(
        wording(
            "custom-type",
            "",
            r"(?:invalid tool type|function name or parameters is empty)\W{1,20}2013",
        ),
        wording("beta", _FINE_GRAINED_STREAMING, r"function name or parameters is empty \(2013\)"),
    ),
    # `base_resp.status_code`: https://platform.minimax.io/docs/api-reference/errorcode
    status_by_code={
        1000: 500,
        1001: 504,
        1002: 429,
        1004: 401,
        1008: 402,
        1013: 500,
        1024: 500,
        1033: 500,
        1039: 429,
        2013: 400,
        2049: 401,
    },
)
