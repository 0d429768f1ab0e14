"""Files as they come: separators, encodings, bombs and broken rows (fault F79). No database."""

import csv
from pathlib import Path

import pytest

from outbound.domain.errors import OutboundError
from outbound.services.imports.mapping import Layout
from outbound.services.imports.rows import ABSENT, MAX_ROW, Rows

Refusals = list[tuple[int, str, str]]
TSV = Layout(format="tsv", separator="\t", quote="")
ODD = Layout(separator="+|", row_separator="&|\n", quote="", header=False, columns=("id", "name"))


def _read(
    tmp_path: Path, content: bytes, layout: Layout | None = None, wanted: tuple[str, ...] = ("id", "name")
) -> tuple[list[tuple[int, tuple[object, ...]]], Refusals]:
    refusals: Refusals = []
    file = tmp_path / "file"
    file.write_bytes(content)

    def refuse(line: int, column: str, _value: str, reason: str) -> None:
        refusals.append((line, column, reason))

    with Rows(file, layout or Layout(), refuse) as rows:
        found = [(line, tuple(cells)) for line, cells in rows.read(wanted)]
        assert rows.count == len(found) + len(refusals)
    return found, refusals


@pytest.mark.parametrize(
    ("content", "layout"),
    [
        (b"id,name\n1,Ada\n2,Bob\n", Layout()),
        (b"id,name\r\n1,Ada\r\n2,Bob", Layout()),
        (b"\xef\xbb\xbfid,name\n1,Ada\n2,Bob\n", Layout()),
        (b"name;x;id\nAda;;1\nBob;;2\n", Layout(separator=";")),
        (b"id\tname\n1\tAda\n2\tBob\n", TSV),
        (b"id||name\n1||Ada\n2||Bob\n", Layout(separator="||", quote="")),
        ("id,name\n1,Ada\n2,Bob\n".encode("utf-16"), Layout(encoding="utf-16")),
        (b'"id","name"\n"1","Ada"\n"2","Bob"\n', Layout()),
        (b"1,Ada\n2,Bob\n", Layout(header=False, columns=("id", "name"))),
        (b"a,b\n1,Ada\n2,Bob\n", Layout(columns=("id", "name"))),
        (b'{"id": 1, "name": "Ada"}\n\n{"name": "Bob", "id": "2", "x": [1]}\n', Layout(format="jsonl")),
    ],
)
def test_the_same_two_rows_in_every_form(tmp_path: Path, content: bytes, layout: Layout) -> None:
    found, refusals = _read(tmp_path, content, layout)
    assert [cells for _, cells in found] == [("1", "Ada"), ("2", "Bob")]
    assert refusals == []


def test_separators_of_several_characters_between_fields_and_rows(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, '1+|Zoë, "x"&|\n2+|two\nlines&|\n3+|last&|\n'.encode(), ODD)
    assert found == [(1, ("1", 'Zoë, "x"')), (2, ("2", "two\nlines")), (4, ("3", "last"))]


def test_a_separator_cut_by_the_block_border_still_separates(tmp_path: Path) -> None:
    """Rows of every length around the 64 KiB that are read at a time."""
    for length in range(64 * 1024 - 12, 64 * 1024 + 4):
        found, refusals = _read(tmp_path, b"1+|" + b"x" * length + b"&|\n2+|Bob&|\n", ODD)
        assert (len(found), found[1], refusals) == (2, (2, ("2", "Bob")), [])


def test_quoted_fields_hold_separators_and_line_ends_and_lines_are_counted_where_rows_start(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, b'id,name\n1,"A\nB, ""C"""\n\n2,Bob\n')
    assert found == [(2, ("1", 'A\nB, "C"')), (5, ("2", "Bob"))]


def test_a_row_with_another_number_of_columns_is_refused(tmp_path: Path) -> None:
    found, refusals = _read(tmp_path, b"id,name\n1\n2,Bob\n3,Cy,x\n")
    assert found == [(3, ("2", "Bob"))]
    assert refusals == [
        (2, "", "1 columns where 2 are expected"),
        (4, "", "3 columns where 2 are expected"),
    ]


def test_nul_and_undecodable_bytes_refuse_their_row_only(tmp_path: Path) -> None:
    for layout in (Layout(), Layout(separator=",", quote="")):
        found, refusals = _read(tmp_path, b"id,name\n1,A\0\n2,\xe9\n3,Cy\n", layout)
        assert found == [(4, ("3", "Cy"))]
        assert [line for line, _, _ in refusals] == [2, 3]
        assert "contains NUL" in refusals[0][2]
        assert "is not utf-8 text" in refusals[1][2]


def test_another_encoding_is_read_when_it_is_written(tmp_path: Path) -> None:
    found, _ = _read(tmp_path, b"id,name\n1,Jos\xe9\n", Layout(encoding="cp1252"))
    assert found == [(2, ("1", "José"))]


@pytest.mark.parametrize("layout", [Layout(), ODD, TSV])
def test_a_row_that_is_too_long_is_skipped_as_it_streams_by(tmp_path: Path, layout: Layout) -> None:
    ends = layout.row_separator or "\n"
    head = "" if layout.columns else f"id{layout.separator}name{ends}"
    rows = [f"1{layout.separator}Ada", f"2{layout.separator}{'x' * (3 * MAX_ROW)}", f"3{layout.separator}Cy"]
    found, refusals = _read(tmp_path, (head + ends.join(rows) + ends).encode(), layout)
    assert [cells for _, cells in found] == [("1", "Ada"), ("3", "Cy")]
    assert [reason for _, _, reason in refusals] == [f"the row is longer than {MAX_ROW:,} characters"]


def test_a_quote_that_is_never_closed_costs_one_field_limit_and_is_named(tmp_path: Path) -> None:
    filler = b"".join(b"%d,x\n" % n for n in range(40_000))
    found, refusals = _read(tmp_path, b'id,name\n1,Ada\n2,"Bob\n' + filler)
    assert found[0] == (2, ("1", "Ada"))
    assert found[-1][1] == ("39999", "x")
    assert refusals[0][0] == 3
    assert "a quote that is never closed?" in refusals[0][2]
    assert len(found) > 40_000 - csv.field_size_limit() // 3


def test_a_million_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutboundError, match="columns"):
        _read(tmp_path, b"id" + b",x" * 400_000 + b"\n1\n")
    with pytest.raises(OutboundError, match="no header"):
        _read(tmp_path, b"id" + b",x" * 1_000_000 + b"\n")


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("id,name\n1,Ada\n".encode("utf-16"), "import.encoding"),
        (b"PK\x03\x04zip", "import.compressed"),
        (b"\x1f\x8bgzip", "import.compressed"),
        (b"", "import.header"),
        (b"id,surname\n1,x\n", "import.column"),
        (b"id,name,name\n1,x,y\n", "import.column"),
    ],
)
def test_a_file_that_cannot_be_read_as_the_mapping_says_is_an_error_with_a_remedy(
    tmp_path: Path, content: bytes, code: str
) -> None:
    with pytest.raises(OutboundError) as caught:
        _read(tmp_path, content)
    assert caught.value.code == code
    assert caught.value.remedy


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OutboundError, match="cannot be read"):
        Rows(tmp_path / "nowhere.csv", Layout(), lambda *_: None)


def test_json_lines_refuse_what_is_no_value_and_tell_absent_from_empty(tmp_path: Path) -> None:
    lines = [
        '{"id": "1", "name": null}',
        '{"id": "2"}',
        '{"id": "3", "name": ["x"]}',
        '{"id": "4", "name": "\\u0000"}',
        '{"id": "5", "name": "\\ud800"}',
        "[1]",
        "{",
        '{"id": NaN}',
        '{"id": ' + "9" * 5000 + "}",
        "[" * 5000,
        '{"id": 6.5, "name": true}',
    ]
    found, refusals = _read(tmp_path, "\n".join(lines).encode(), Layout(format="jsonl"))
    assert found == [(1, ("1", "")), (2, ("2", ABSENT)), (11, ("6.5", "true"))]
    assert [line for line, _, _ in refusals] == [3, 4, 5, 6, 7, 8, 9, 10]
