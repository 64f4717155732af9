"""Tables, as aligned text and as markdown, and the places in documents that commands write."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Table", "check_document", "command_line", "markdown_block", "replaced", "write_block"]


class Table(NamedTuple):
    """Rows of cells; the first row is the header, the first column the names of the rows."""

    title: str
    rows: list[list[str]]
    remarks: list[str]

    def text(self) -> str:
        """Aligned columns, names to the left and numbers to the right."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        return "\n".join([f"== {self.title}", *(aligned(cells, widths) for cells in self.rows), *self.remarks])

    def markdown(self) -> str:
        """A heading, the table and the remarks as a list."""
        header, *rows = ([cell.replace("|", "\\|") for cell in row] for row in self.rows)
        rule = ["---", *("---:" for _ in header[1:])]
        lines = ["| " + " | ".join(cells) + " |" for cells in (header, rule, *rows)]
        remarks = [f"- {remark}" for remark in self.remarks]
        return "\n".join([f"### {self.title}", "", *lines, *(["", *remarks] if remarks else [])])


def aligned(cells: list[str], widths: list[int]) -> str:
    first, *rest = (
        f"{cell:{'>' if i else '<'}{width}}" for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def command_line(module: str) -> str:
    """The command that this process was started with."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def markdown_block(command: str, machine: str, tables: Iterable[Table], notes: Iterable[str] = ()) -> str:
    """Everything that one command writes into a document."""
    listed = "\n".join(f"- {note}" for note in notes)
    return "\n\n".join(filter(None, [f"`{command}`", machine, *(table.markdown() for table in tables), listed]))


def replaced(document: str, name: str, content: str) -> str:
    """``document`` with ``content`` between the two comments that mark the block ``name``."""
    begin, end = markers(name)
    return f"{document[: document.index(begin)]}{begin}\n\n{content}\n\n{document[document.index(end) :]}"


def markers(name: str) -> tuple[str, str]:
    return f"<!-- begin generated: {name} -->", f"<!-- end generated: {name} -->"


def check_document(path: Path, name: str) -> None:
    """End the program unless ``path`` has one block ``name``: better now than after the measurement."""
    begin, end = markers(name)
    text = path.read_text() if path.exists() else ""
    if not re.fullmatch(f"((?!{begin}|{end}).)*{begin}((?!{begin}).)*?{end}((?!{begin}|{end}).)*", text, re.DOTALL):
        sys.exit(f"{path}: expected the lines '{begin}' and '{end}', once each; what is between them is replaced")


def write_block(path: Path, name: str, content: str) -> None:
    """Replace the block ``name`` of the document ``path``."""
    check_document(path, name)
    path.write_text(replaced(path.read_text(), name, content))
