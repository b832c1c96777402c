"""The page about coverage says what the machine does."""

from __future__ import annotations

from pathlib import Path

from rocmoe.ops.gcn.machine.coverage import (
    UNITS,
    Example,
    is_executed,
    list_missing,
    read_examples,
    rewrite,
    write_missing,
    write_table,
)

ROOT = Path(__file__).parents[4]
EXAMPLES = read_examples(
    (ROOT / "tests" / "ops" / "gcn" / "fixtures" / "mnemonics.txt").read_text().splitlines()
)


def test_the_page_has_the_numbers_of_the_code():
    page = (ROOT / "docs" / "simulator-coverage.md").read_text()
    assert write_table(EXAMPLES) in page, "write it anew: see rocmoe.ops.gcn.machine.coverage"
    assert rewrite(page, EXAMPLES) == page


def test_a_page_is_rewritten_between_its_marks():
    page = "a\n<!-- table -->\nold\n<!-- end of table -->\nb\n"
    example = Example("v_nop", ("gfx90a",))
    assert rewrite(page, [example]) == page.replace("old\n", write_table([example]))


def test_every_mnemonic_has_one_example_an_architecture():
    for arch in ("gfx90a", "gfx942", "gfx950"):
        names = [each.instruction.name for each in EXAMPLES if arch in each.archs]
        assert len(names) == len(set(names)) > 1000
    assert {each.unit for each in EXAMPLES} == set(UNITS.values())


def test_what_counts_as_executed():
    row = "gfx942,gfx950: v_cvt_pk_f32_fp8 v[0:1], v32"
    (example,) = read_examples([row])
    assert example == Example("v_cvt_pk_f32_fp8 v[0:1], v32", ("gfx942", "gfx950"))
    assert (is_executed(example, "gfx942"), is_executed(example, "gfx90a")) == (True, False)
    assert list_missing([example], "gfx90a") == {}
    assert is_executed(Example("s_load_dword s0, s[8:9]", ("gfx90a",)), "gfx90a")
    refused = Example("ds_gws_init v0 gds", ("gfx90a",))
    assert list_missing([example, refused], "gfx90a") == {"LDS": ("ds_gws_init",)}
    assert write_missing([example, refused]) == "- LDS: `ds_gws_init` (gfx90a)\n"
    table = write_table([example, refused]).splitlines()
    assert table[-1] == "| all | 0 / 1 (0%) | 1 / 1 (100%) | 1 / 1 (100%) |"
