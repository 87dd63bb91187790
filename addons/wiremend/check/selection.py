"""Which findings are reported: by the command line, and by `[check]` in the configuration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from types import MappingProxyType

type Codes = tuple[str, ...]
"""Codes of rules, or prefixes of them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """What is selected and ignored. An ignored code is not reported even if it is selected."""

    select: Codes = ()
    """Empty: all rules."""
    ignore: Codes = ()
    ignore_in_files: Mapping[str, Codes] = field(default_factory=lambda: MappingProxyType({}))
    """By glob of the file's name, as it is shown or its last part."""
    ignore_from_hosts: Mapping[str, Codes] = field(default_factory=lambda: MappingProxyType({}))
    """By glob of the host, in lower case."""
    select_in_files: Mapping[str, Codes] = field(default_factory=lambda: MappingProxyType({}))
    select_from_hosts: Mapping[str, Codes] = field(default_factory=lambda: MappingProxyType({}))

    def reports(self, code: str, file: str, host: str) -> bool:
        """Return whether a finding with this code is reported."""
        return code.startswith(self._selected(file, host)) and not code.startswith(
            self._ignored(file, host)
        )

    def _selected(self, file: str, host: str) -> Codes:
        """Return the most specific selection: by file or host, else in general."""
        here = _of_file(self.select_in_files, file) + _of_host(self.select_from_hosts, host)
        return here or self.select or ("",)

    def _ignored(self, file: str, host: str) -> Codes:
        here = _of_file(self.ignore_in_files, file) + _of_host(self.ignore_from_hosts, host)
        return self.ignore + here


def _of_file(table: Mapping[str, Codes], file: str) -> Codes:
    names = (file.replace("\\", "/"), file.replace("\\", "/").rpartition("/")[2])
    return _matching(table, names)


def _of_host(table: Mapping[str, Codes], host: str) -> Codes:
    return _matching(table, (host.lower(),))


def _matching(table: Mapping[str, Codes], names: Sequence[str]) -> Codes:
    return tuple(
        code
        for pattern, codes in table.items()
        if any(fnmatchcase(name, pattern) for name in names)
        for code in codes
    )
