"""CSV tables: by name, and with the place of what is wrong."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.csv_table import read_header, read_table


def write(folder, text):
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_are_read_by_column_and_nothing_is_none(tmp_path):
    path = write(tmp_path, 'A,"B",C_X,C_Y,C_Z\n"f<1, 2>(int)",7,1,2,3\nNone,,4,5,6\n')
    table = read_table(path, "t.csv")
    first, second = table.rows
    assert first.take_text("A") == "f<1, 2>(int)"
    assert (first.take_int("B"), first.find_number("B")) == (7, 7.0)
    assert first.find_xyz("C") == (1, 2, 3)
    assert first.find_xyz("D") is None
    assert (second.find_text("A"), second.find_int("B"), second.find_int("Z")) == (None, None, None)
    assert read_header(path) == ("A", "B", "C_X", "C_Y", "C_Z")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("A,B\n1,x\n", "t.csv:2: B: found 'x'; wanted an integer"),
        ("A,B\n1,2.5\n", "t.csv:2: B: found '2.5'; wanted an integer"),
        ("A,B\n1,1_0\n", "t.csv:2: B: found '1_0'; wanted an integer"),
        ("A,B\n\n1,\n", "t.csv:3: B: found ''; wanted an integer"),
        ("A\n1\n", "t.csv:2: B: found no such column; wanted an integer"),
        ("A,B\n1\n", "t.csv:2: found 1 cells, the last at A; wanted 2"),
        ("A,B\n1,2,3\n", "t.csv:2: found 3 cells, the last at B; wanted 2"),
        ('A,B\n1,"2\n', "t.csv:2: found no CSV (unexpected end of data)"),
        ("A,A\n1,2\n", "t.csv:1: found A twice"),
        ("", "t.csv:1: found no header"),
    ],
)
def test_what_is_malformed_is_told_with_its_place(tmp_path, text, message):
    with pytest.raises(RocmoeError) as caught:
        [row.take_int("B") for row in read_table(write(tmp_path, text), "t.csv").rows]
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b"A,B\n\xff\xfe,1\n")
    with pytest.raises(RocmoeError, match=r"t\.csv: found bytes that are not UTF-8"):
        read_table(path, "t.csv")
    assert read_header(path) in ((), ("A", "B"))


def test_a_missing_column_is_named(tmp_path):
    table = read_table(write(tmp_path, "A,B\n1,2\n"), "t.csv")
    with pytest.raises(RocmoeError, match=r"found 2 columns without C; wanted a trace: a newer"):
        table.require(("A", "C"), "a trace")
