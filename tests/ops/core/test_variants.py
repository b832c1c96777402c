import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.core.variants import Variant, choose, noting

TABLE = (
    Variant("few", "a reason", arch="gfx9", most={"T": 16}, parameters={"rows": 1}),
    Variant("wide", "a reason", least={"E": 257}, parameters={"rows": 2, "keys": "int"}),
    Variant("rest", "a reason", arch="sm", parameters={"rows": 4}),
)


@pytest.mark.parametrize(
    ("arch", "sizes", "name"),
    [
        ("gfx942", {"T": 16, "E": 512}, "few"),
        ("gfx942", {"T": 17, "E": 512}, "wide"),
        ("sm90", {"T": 1, "E": 257}, "wide"),
        ("sm90", {"T": 1, "E": 256}, "rest"),
    ],
)
def test_the_first_row_that_fits_is_chosen(arch, sizes, name):
    assert choose(TABLE, arch, **sizes).name == name


def test_no_row_that_fits_is_one_line():
    with pytest.raises(RocmoeError, match="no kernel variant serves T=17, E=256 on gfx942"):
        choose(TABLE, "gfx942", T=17, E=256)


def test_what_is_chosen_is_told_to_those_who_listen_and_to_no_one_after():
    choose(TABLE, "sm90", T=1, E=256)
    with noting() as outer:
        choose(TABLE, "sm90", T=1, E=512)
        with noting() as inner:
            choose(TABLE, "sm90", T=1, E=512)  # remembered, and told again
    choose(TABLE, "sm90", T=1, E=256)
    assert outer == ["wide rows=2 keys=int"] * 2
    assert inner == ["wide rows=2 keys=int"]


def test_tables_of_equal_rows_are_told_apart():
    other = (Variant("few", "a reason", parameters={"rows": 8}),)
    assert choose(TABLE, "gfx942", T=1, E=1)["rows"] == 1
    assert choose(other, "gfx942", T=1, E=1)["rows"] == 8


def test_a_table_that_is_gone_is_not_taken_for_the_next_one_in_its_place():
    names = [f"row {number}" for number in range(50)]
    assert [choose((Variant(name, ""),), "sm90", T=1).name for name in names] == names
