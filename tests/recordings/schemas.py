"""Counts how many tools of recorded requests still accept what they accepted, per dialect.

PYTHONPATH=addons:tests python -m recordings.schemas PATH
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import orjson
from strategies.arguments import accepts, arguments_of, as_json_schema, validator_of
from wiremend.adapt.schema_conversion import SchemaTooLarge, convert_schema
from wiremend.adapt.schema_dialects import DIALECTS, Dialect
from wiremend.adapt.schema_losses import Losses
from wiremend.protocols.base.document import RequestBody
from wiremend.protocols.registry import PROTOCOLS
from wiremend.text.json_edits import parse

from .exchanges import read_exchanges

ARGUMENTS = 12
"""The arguments that are tried for each schema."""


def main(arguments: list[str]) -> int:
    """Print the table; return the exit status."""
    schemas = distinct(tool_schemas(Path(arguments[0])))
    names_them = "--names" in arguments
    examples = [(schema, _arguments(schema, n)) for n, schema in enumerate(schemas)]
    tried = [(schema, values) for schema, values in examples if values]
    print(f"{len(schemas)} distinct schemas, {len(tried)} with generated arguments")
    print(f"{'dialect':<14} {'changed':>8} {'keep all':>9} {'refuse some':>12} {'unreported':>11}")
    for name, dialect in DIALECTS.items():
        changed = [pair for pair in tried if _converted(pair[0], dialect) != pair[0]]
        refusing = [schema for schema, values in changed if refused(schema, values, dialect)]
        unreported = [schema for schema in refusing if not _losses(schema, dialect).refused]
        kept = len(tried) - len(refusing)
        print(f"{name:<14} {len(changed):>8} {kept:>9} {len(refusing):>12} {len(unreported):>11}")
        for schema in refusing if names_them else ():
            first = next(iter(refused(schema, _arguments(schema, 0, 50), dialect)), None)
            print("  ", _short(schema), "becomes", _short(_converted(schema, dialect)))
            print("   refuses", _short(first), _losses(schema, dialect).refused)
    return 0


def _arguments(schema: dict[str, Any], seed: int, count: int = ARGUMENTS) -> list[dict[str, Any]]:
    return arguments_of(as_json_schema(schema, "gemini"), Random(seed), count)


def tool_schemas(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the parameter schemas of all tools in recorded requests."""
    for exchange in read_exchanges(path):
        fields = RequestBody(exchange.request or b"").fields
        for tool in PROTOCOLS[exchange.protocol].client_tools(fields or {}):
            schema = tool.fields.get(tool.schema_key) if tool.schema_key else None
            if isinstance(schema, dict):
                yield schema


def distinct(schemas: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the schemas, each once, in their order."""
    by_text = {orjson.dumps(s, option=orjson.OPT_SORT_KEYS): None for s in schemas}
    return [parse(text) for text in by_text]


def refused(schema: dict[str, Any], values: list[Any], dialect: Dialect) -> list[Any]:
    """Return those of the values that the converted schema does not accept."""
    validator = validator_of(as_json_schema(_converted(schema, dialect), dialect.name))
    return [value for value in values if validator is None or not accepts(validator, value)]


def _short(value: Any) -> str:
    return orjson.dumps(value).decode()[:600]


def _losses(schema: dict[str, Any], dialect: Dialect) -> Losses:
    losses = Losses()
    convert_schema(schema, dialect, losses=losses)
    return losses


def _converted(schema: dict[str, Any], dialect: Dialect) -> dict[str, Any]:
    try:
        return convert_schema(schema, dialect)
    except SchemaTooLarge:
        return schema


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
