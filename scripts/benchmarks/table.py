"""The result as Markdown."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.contenders import AGAIN, FLOOR, Contender
from benchmarks.metrics import Cell, Comparison
from benchmarks.summary import Conditions, Figure, Row
from benchmarks.workloads import Workload

_EXPLANATION = """\
`floor` is in units; the others are medians of per-round ratios to the floor (x). What is *added* is
the difference to `direct` in the same round, and memory is absolute. `floor again` is the same
program as the floor: its range (over the rounds; of differences to the floor where there is no x)
is what chance alone does. **Bold** is outside of that range."""


def markdown(
    rows: Sequence[Row],
    conditions: Sequence[Conditions],
    cells: Sequence[Cell],
    contenders: Sequence[Contender],
    workloads: Sequence[Workload],
    machine: Mapping[str, str],
) -> str:
    """Return the whole report."""
    names = [contender.name for contender in contenders]
    parts = ["\n".join(f"- {key}: {value}" for key, value in machine.items())]
    parts.append("\n".join(f"- `{one.name}`: {one.role}" for one in contenders))
    for scheme in dict.fromkeys(row.scheme for row in rows):
        chosen = [row for row in rows if row.scheme == scheme]
        parts.append(f"### {scheme.upper()}")
        parts.append(_results(chosen, names))
        parts.append(_conditions([one for one in conditions if one.scheme == scheme]))
    parts.append(_EXPLANATION)
    parts.append("\n".join(f"- `{one.name}`: {one.summary}" for one in workloads))
    if problems := _problems(cells):
        parts.append("Failed:\n\n" + "\n".join(problems))
    return "\n\n".join(parts) + "\n"


def number(value: float) -> str:
    """Return a value with about three significant digits."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _results(rows: Iterable[Row], names: Sequence[str]) -> str:
    ordered = [FLOOR, *(name for name in names if name != FLOOR)]
    lines = [["workload", "figure", *ordered]]
    previous = ""
    for row in rows:
        workload = "" if row.workload == previous else f"`{row.workload}`"
        previous = row.workload
        lines.append([workload, row.metric, *(_figure(row, name) for name in ordered)])
    return _table(lines)


def _figure(row: Row, name: str) -> str:
    figure = row.figures.get(name)
    if figure is None:
        return ""
    if name == FLOOR:
        return f"{number(figure.value)} {row.unit}".rstrip()
    text = _compared(row, figure)
    if name == AGAIN:
        return f"{text} ({_signed(row, figure.lowest)} … {_signed(row, figure.highest)})"
    return f"**{text}**" if figure.differs else text


def _compared(row: Row, figure: Figure) -> str:
    if row.comparison is Comparison.RATIO:
        return f"{number(figure.compared)}x"
    return f"{number(figure.value)} {row.unit}"


def _signed(row: Row, value: float) -> str:
    if row.comparison is Comparison.RATIO:
        return number(value)
    return ("+" if value > 0 else "") + number(value)


def _conditions(conditions: Iterable[Conditions]) -> str:
    lines = [
        ["CPU used by", "load client, most", "provider, most", "others, median", "others, most"]
    ]
    lines += [
        [
            f"`{one.workload}`",
            *(
                f"{share:.0%}"
                for share in (one.load_client, one.upstream, one.others, one.others_highest)
            ),
        ]
        for one in conditions
    ]
    return _table(lines)


def _problems(cells: Iterable[Cell]) -> list[str]:
    found = dict.fromkeys(
        (cell.scheme, cell.workload, cell.contender, cell.problem) for cell in cells if cell.problem
    )
    return [
        f"- {scheme}, `{workload}`, {contender}: {problem}"
        for scheme, workload, contender, problem in found
    ]


def _table(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    padded = [
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([padded[0], rule, *padded[1:]])
