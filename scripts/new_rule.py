"""Adds a rule: its constant in the module that will implement it, and its stub in the corpus."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from corpus_streams import folder_of
from wiremend.catalogue import FAMILIES, PACKAGES, catalogue
from wiremend.protocols.base.names import SHORT_NAMES, WireProtocol, valid_names

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "addons" / "wiremend"
EVERY = "all"
"""Stands for every protocol on the command line."""
NAME_LENGTH = 40
"""The most characters of a rule's name."""
PLACEHOLDER = ": Replace this line with a stream as the provider sends it; scripts/rules accept"
"""The content of a stub in the corpus: a comment of the SSE format."""

_STREAM_CODES = {protocol: f"S{number}" for number, protocol in enumerate(WireProtocol, 1)}
"""The beginning of the codes of each protocol's rules on responses; S0 is for all protocols."""
_MODULES = {
    "M": "routing/model_name.py",
    "T0": "adapt/tool_list.py",
    "T1": "adapt/schema_root.py",
    "T2": "adapt/schemas.py",
    "T": "adapt/rejection_recovery.py",
    "Q2": "protocols/base/parameters.py",
    "Q": "protocols/base/history.py",
    "S": "repair/stream.py",
    "E": "engine/rules.py",
    "R": "engine/rules.py",
    "F": "routing/fire_and_forget.py",
}
"""Where rules live by the beginning of their code, if no protocol's package is their place."""


class Refused(Exception):
    """The rule cannot be added; the message is for the user."""


@dataclass(frozen=True)
class NewRule:
    """A rule to add."""

    code: str
    protocols: tuple[WireProtocol, ...]
    name: str
    module: Path

    @classmethod
    def parse(cls, code: str, protocol: str, name: str, module: str | None) -> "NewRule":
        """The rule that the command line describes. Raises Refused."""
        _check_code(code)
        protocols = _protocols(protocol)
        _check_family(code, protocols)
        _check_name(name, protocols)
        return cls(code, protocols, name, _module(code, protocols, module))

    @property
    def constant(self) -> str:
        """The name of the constant."""
        return self.name.upper().replace("-", "_")

    @property
    def is_about_streams(self) -> bool:
        """Whether the corpus needs a stream for it: rules on one protocol's streams, not bodies."""
        return self.code.startswith("S") and self.code[1] != "0" and self.code[2] < "5"

    @property
    def stub(self) -> Path:
        """The file in the corpus for a stream that shows the fault."""
        return folder_of(self.protocols[0]) / "broken" / f"{self.name}.sse"


def add_rule(rule: NewRule) -> str:
    """Write the files; return what was done and what remains to be done. Raises Refused."""
    if rule.is_about_streams and rule.stub.exists():
        raise Refused(f"{rule.stub.relative_to(ROOT)} exists; choose another name")
    source = rule.module.read_text()
    rule.module.write_text(with_constant(source, rule))
    if rule.is_about_streams:
        rule.stub.write_text(f"{PLACEHOLDER}\n")
    return next_steps(rule)


def with_constant(source: str, rule: NewRule) -> str:
    """The module's source with the rule's constant among the others, in code order.

    Raises Refused when the module defines the constant's name.
    """
    tree = ast.parse(source)
    if rule.constant in _names(tree):
        raise Refused(
            f"{rule.module.relative_to(LIBRARY)} defines {rule.constant}; choose another name"
        )
    lines = source.splitlines(keepends=True)
    constant = _constant(rule, tree)
    rules = _rules(tree)
    family = [(code, node) for code, node in rules if code[0] == rule.code[0]]
    rules = family or rules
    later = [node for code, node in rules if code > rule.code]
    if later:
        at = later[0].lineno - 1
    elif rules:
        at = rules[-1][1].end_lineno or 0
    else:
        at = _end_of_header(tree)
        constant = f"\n{constant}"
    lines.insert(at, constant)
    if "Rule" not in _names(tree):
        lines.insert(*_import_of_rule(tree))
    return "".join(lines)


def next_steps(rule: NewRule) -> str:
    """What was written, and what the author does next."""
    module = rule.module.relative_to(ROOT)
    steps = [f"{module}: write the texts of {rule.constant} and the code that applies it"]
    if rule.is_about_streams:
        stub = rule.stub.relative_to(ROOT)
        grammar = (_package(rule.protocols[0]) / "grammar.py").relative_to(ROOT)
        steps += [
            f"{stub}: a stream with the fault, as the provider sends it",
            f"{grammar}: a row, if the grammar accepts that stream",
            f"scripts/rules accept {stub}",
            "scripts/rules",
            "scripts/test tests/laws tests/test_catalogue.py",
        ]
    else:
        steps += [
            f"{module}: an example in `before` and `after`",
            "a test beside those of the module's other rules",
            "scripts/rules",
            "scripts/test tests/test_catalogue.py",
        ]
    steps.append("CHANGELOG.md: one line with the code")
    numbered = [f"  {number}. {step}" for number, step in enumerate(steps, 1)]
    return "\n".join([f"{rule.code} {rule.name} was added to {module}. Next:", *numbered])


# Checks


def _check_code(code: str) -> None:
    if not re.fullmatch(r"[A-Z]\d{3}", code):
        raise Refused(f"expected a capital letter and three digits as the code, got {code!r}")
    if code[0] not in FAMILIES:
        families = ", ".join(f"{letter} ({title})" for letter, title in FAMILIES.items())
        raise Refused(f"{code}: there is no family {code[0]}; the families are {families}")
    used = {rule.code: rule for rule in catalogue()}
    if code in used:
        later = (f"{code[0]}{number}" for number in range(int(code[1:]), 1000))
        free = next((one for one in later if one not in used), "none")
        raise Refused(f"{code} is {used[code].name}; the next free code is {free}")


def _protocols(text: str) -> tuple[WireProtocol, ...]:
    if text == EVERY:
        return tuple(WireProtocol)
    try:
        return (WireProtocol.parse(text),)
    except ValueError:
        raise Refused(f"expected {valid_names()}, or {EVERY}, got {text!r}") from None


def _check_family(code: str, protocols: tuple[WireProtocol, ...]) -> None:
    if code[0] != "S":
        return
    expected = "S0" if len(protocols) > 1 else _STREAM_CODES[protocols[0]]
    if not code.startswith(expected):
        named = EVERY if len(protocols) > 1 else protocols[0]
        raise Refused(f"{code}: the rules on responses of {named} have codes from {expected}01 on")


def _check_name(name: str, protocols: tuple[WireProtocol, ...]) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > NAME_LENGTH:
        raise Refused(
            f"expected a name in kebab case with at most {NAME_LENGTH} characters, got {name!r}"
        )
    for rule in catalogue():
        if rule.name == name and set(protocols).intersection(rule.protocols):
            raise Refused(f"{rule.code} has the name {name}")


def _module(code: str, protocols: tuple[WireProtocol, ...], text: str | None) -> Path:
    default = _default_module(code, protocols)
    if text is None:
        return default
    name = text if text.endswith(".py") else f"{text}.py"
    for path in (default.parent / name, LIBRARY / name, LIBRARY / "protocols" / name, ROOT / name):
        resolved = path.resolve()
        if resolved.is_file() and resolved.is_relative_to(LIBRARY):
            if resolved.relative_to(LIBRARY).parts[0] not in PACKAGES:
                break
            return resolved
    beside = ", ".join(path.stem for path in sorted(default.parent.glob("[a-z]*.py")))
    raise Refused(
        f"there is no module {text} for rules; {default.parent.relative_to(LIBRARY)} has {beside}; "
        f"other modules of {', '.join(PACKAGES)} are named with their folder"
    )


def _package(protocol: WireProtocol) -> Path:
    """The folder of the protocol's package."""
    return LIBRARY / "protocols" / SHORT_NAMES.get(protocol, protocol)


def _default_module(code: str, protocols: tuple[WireProtocol, ...]) -> Path:
    if len(protocols) == 1 and code.startswith("S"):
        module = "stream.py" if code[2] < "5" else "body.py"
        return _package(protocols[0]) / module
    if len(protocols) == 1 and code.startswith(("Q0", "Q1")):
        return _package(protocols[0]) / "history.py"
    return LIBRARY / next(path for start, path in _MODULES.items() if code.startswith(start))


# Source


def _constant(rule: NewRule, tree: ast.Module) -> str:
    example = "" if rule.is_about_streams else '    before="",\n    after="",\n'
    return (
        f"{rule.constant} = Rule(\n"
        f'    code="{rule.code}",\n'
        f'    name="{rule.name}",\n'
        '    detects="TODO: what is wrong in the traffic.",\n'
        '    impact="TODO: what which client or provider does then.",\n'
        '    action="TODO: what wiremend does.",\n'
        f"    protocols={_protocols_expression(rule.protocols, tree)},\n"
        f"    seen=(),\n{example})\n"
    )


def _protocols_expression(protocols: tuple[WireProtocol, ...], tree: ast.Module) -> str:
    """The module's own constant for these protocols, or a tuple of their names."""
    names = f"({', '.join(f'"{protocol}"' for protocol in protocols)},)"
    same = [names]
    if protocols == tuple(WireProtocol):
        names = names.replace(",)", ")")
        same = ["tuple(WireProtocol)", names]
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                if ast.unparse(value).replace("'", '"') in same:
                    return name
    return names


def _rules(tree: ast.Module) -> list[tuple[str, ast.Assign]]:
    """The code and the statement of each rule that the module defines, in order."""
    found: list[tuple[str, ast.Assign]] = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            arguments = {one.arg: one.value for one in node.value.keywords}
            code = arguments.get("code")
            if ast.unparse(node.value.func) == "Rule" and isinstance(code, ast.Constant):
                found.append((str(code.value), node))
    return found


def _names(tree: ast.Module) -> set[str]:
    """The names that the module binds at its top level."""
    found: set[str] = set()
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom():
                found |= {alias.asname or alias.name for alias in node.names}
            case ast.Assign():
                found |= {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found.add(name)
    return found


def _end_of_header(tree: ast.Module) -> int:
    """The number of lines up to the end of the docstring and the imports."""
    header = [
        node
        for number, node in enumerate(tree.body)
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (number == 0 and isinstance(node, ast.Expr))
    ]
    return header[-1].end_lineno or 0 if header else 0


def _import_of_rule(tree: ast.Module) -> tuple[int, str]:
    """The line before which `Rule` is imported, counted from 0, and the import."""
    statement = "from wiremend.rules.rule import Rule\n"
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if str(node.module).startswith("wiremend.")]
    for node in ours:
        if str(node.module) > "wiremend.rules.rule":
            return node.lineno - 1, statement
    return _end_of_header(tree), statement if ours else f"\n{statement}"
