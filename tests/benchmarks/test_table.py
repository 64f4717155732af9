"""Tables as text and as markdown, and the blocks of documents that they replace."""

import pytest

from benchmarks.table import Table, check_document, markdown_block, replaced, write_block

TABLE = Table("Title", [["us", "a", "bb"], ["long row", "1.0", ""], ["r", "", "2|3"]], ["a remark"])
DOCUMENT = "before\n<!-- begin generated: x -->\nold\n<!-- end generated: x -->\nafter\n"


def test_text_aligns_names_left_and_numbers_right():
    assert TABLE.text().splitlines() == [
        "== Title",
        "us          a   bb",
        "long row  1.0",
        "r              2|3",
        "a remark",
    ]


def test_markdown_escapes_what_would_end_a_cell():
    assert TABLE.markdown().splitlines() == [
        *("### Title", ""),
        *("| us | a | bb |", "| --- | ---: | ---: |", "| long row | 1.0 |  |", "| r |  | 2\\|3 |"),
        *("", "- a remark"),
    ]


def test_a_block_names_its_command_and_machine():
    block = markdown_block("python -m x", "a CPU", [TABLE], ["a note"])
    assert block.startswith("`python -m x`\n\na CPU\n\n### Title\n")
    assert block.endswith("\n\n- a note")


def test_only_what_is_between_the_markers_is_replaced():
    once = replaced(DOCUMENT, "x", "new")
    assert once == "before\n<!-- begin generated: x -->\n\nnew\n\n<!-- end generated: x -->\nafter\n"
    assert replaced(once, "x", "new") == once


def test_write_block_leaves_the_other_block_alone(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(DOCUMENT + DOCUMENT.replace(": x", ": y"))
    write_block(path, "y", "new")
    assert path.read_text() == DOCUMENT + replaced(DOCUMENT.replace(": x", ": y"), "y", "new")


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        DOCUMENT.replace("<!-- end generated: x -->", ""),
        DOCUMENT.replace("<!-- begin generated: x -->", ""),
        DOCUMENT + DOCUMENT,
        "<!-- end generated: x -->\n<!-- begin generated: x -->\n",
    ],
)
def test_a_document_without_one_block_is_refused(tmp_path, text):
    path = tmp_path / "page.md"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit, match="begin generated: x"):
        check_document(path, "x")
    assert not path.exists() or path.read_text() == text
