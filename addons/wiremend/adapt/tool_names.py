"""Adapting the names of a request's tools to one target.

A name is replaced everywhere in the request: in the list of tools, the choice and the history. In
responses the client's name is restored (`wiremend.repair.tool_names`).
"""

from typing import Any

from wiremend.adapt.tool_list import emptied
from wiremend.protocols.base.name_limits import NameLimit
from wiremend.protocols.base.names import WireProtocol
from wiremend.protocols.base.protocol import Protocol
from wiremend.protocols.base.tools import ClientTool
from wiremend.rules.rule import BodyPlace, Notes, Rule
from wiremend.targets.registry import NAMES_BY_DIALECT
from wiremend.text import json_value
from wiremend.text.json_edits import Edits, Path

_ALL = tuple(WireProtocol)

NAME_NOT_TAKEN = Rule(
    code="T005",
    name="tool-name-not-taken",
    detects="A tool's name is longer than the target accepts, or contains characters that it "
    "rejects.",
    impact="The whole request is rejected: `Expected a string with maximum length 64`, `String "
    "should match pattern '^[a-zA-Z0-9_-]{1,128}$'`.",
    action="Replaces it, in the history too, with an accepted name that ends in part of a hash. "
    "The response contains the client's name.",
    protocols=_ALL,
    seen=("nanbingxyz/5ire#403", "home-assistant/core#147760", "kaitranntt/ccs#25"),
    before='"tools":[{"name":"caldav.create-event","input_schema":{…}}]',
    after='"tools":[{"name":"caldav_create-event_49e5f1c2","input_schema":{…}}]',
)
NAME_TWICE = Rule(
    code="T006",
    name="tool-name-twice",
    detects="Two tools have the same name.",
    impact="Anthropic: `tools: Tool names must be unique`; Gemini: `Duplicate function declaration "
    "found`.",
    action="Drops an identical tool. Gives a different tool a new name; the response contains the "
    "client's name.",
    protocols=_ALL,
    seen=("anthropics/claude-code#10687", "danny-avila/LibreChat#13162", "tridz-dev/huf#341"),
    before='"tools":[{"name":"search"},{"name":"search"}]',
    after='"tools":[{"name":"search"}]',
)


class ToolNaming:
    """Edits the names of one request's tools, and records the client's name of each."""

    def __init__(
        self,
        protocol: Protocol,
        request: dict[str, Any],
        edits: Edits,
        notes: Notes,
        limit: NameLimit | None,
    ) -> None:
        self.names_by_sent: dict[str, str] = {}
        """For each renamed tool, the client's name by the new name."""
        self._protocol = protocol
        self._request = request
        self._edits = edits
        self._notes = notes
        self._limit = limit if notes.is_on(NAME_NOT_TAKEN) else None
        self._distinct: dict[Path, str] = {}
        """New names, by path, of tools that have the same name as another tool."""

    def adapt_name(self, tool: ClientTool) -> None:
        """Rename a tool if the target does not accept its name."""
        name = tool.fields.get("name")
        if not isinstance(name, str):
            return
        path = (*tool.owner, "name")
        new = self._distinct.get(path) or self._fitted(name)
        if new == name:
            return
        if path not in self._distinct:
            self._note_not_taken(path, name, new)
        self._replace(path, name, new)

    def adapt_mentions(self) -> None:
        """Rename tools in the choice and the history as in the list of tools."""
        if self._limit is None:
            return
        for path, name in self._protocol.tool_mentions(self._request):
            new = self._fitted(name)
            if new != name:
                if new not in self.names_by_sent:
                    self._note_not_taken(path, name, new)
                self._replace(path, name, new)

    def find_repetitions(self, tools: list[ClientTool]) -> set[Path]:
        """Return the paths to remove of tools that repeat an earlier one.

        A different tool of the same name is assigned a new name, which `adapt_name` writes.
        """
        texts_by_name: dict[str, set[bytes]] = {
            name: set() for name in self._protocol.server_tool_names(self._request)
        }
        names = [name for tool in tools if isinstance(name := tool.fields.get("name"), str)]
        if len({*names, *texts_by_name}) == len(names) + len(texts_by_name):
            return set()
        removed: set[Path] = set()
        for tool in tools:
            name = tool.fields.get("name")
            if not isinstance(name, str):
                continue
            text = json_value.write_sorted(tool.fields)
            if name not in texts_by_name:
                texts_by_name[name] = {text}
                continue
            path = (*tool.owner, "name")
            if text in texts_by_name[name]:
                if self._notes.note(
                    NAME_TWICE, BodyPlace(path), f"{name!r} is repeated", "dropped"
                ):
                    removed.add(tool.entry)
                continue
            limit = self._limit or NAMES_BY_DIALECT["openai"]
            new = limit.distinct(name, json_value.write(tool.fields))
            if self._notes.note(
                NAME_TWICE, BodyPlace(path), f"{name!r} names another tool", f"sent as {new!r}"
            ):
                self._distinct[path] = new
                texts_by_name[name].add(text)
        return removed | emptied(self._request, removed) if removed else removed

    def _fitted(self, name: str) -> str:
        return self._limit.fit(name) if self._limit is not None and name.strip() else name

    def _note_not_taken(self, path: Path, name: str, new: str) -> None:
        self._notes.note(
            NAME_NOT_TAKEN, BodyPlace(path), f"{name!r} is not accepted", f"sent as {new!r}"
        )

    def _replace(self, path: Path, name: str, new: str) -> None:
        self._edits.replace(path, json_value.write(new))
        self.names_by_sent[new] = name
