"""Budgets: what a file may say, which entries apply, and what each excess is told as."""

import re

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.budget import (
    COUNT_LIMITS,
    ISA_LIMITS,
    check_count_keys,
    check_counts,
    check_isa,
    load_budget,
)

CASE = "topk_softmax:T=64,E=256,k=8:bf16:renormalize=true:normal:contiguous"
OTHER = CASE.replace("T=64", "T=65")


@pytest.fixture
def budget(tmp_path):
    def write(text):
        path = tmp_path / "budget.toml"
        path.write_text(text)
        return load_budget(path)

    return write


def kernel(name="select_experts", arch="gfx942", triton="3.9.0", op="topk_softmax", **values):
    subject = {"op": op, "case": CASE, "kernel": name, "arch": arch, "triton": triton}
    return subject, {**dict.fromkeys(ISA_LIMITS, 0), "occupancy": 8, **values}


def place(found):
    return found.partition("budget.toml: ")[2]


def test_upper_limits_and_the_lower_one(budget):
    found = budget('[[isa]]\nkernel = "select_experts"\nvgpr = 48\nspills = 0\noccupancy = 8')
    assert check_isa(found, [kernel(vgpr=48)]) == []
    lines = check_isa(found, [kernel(vgpr=54, spills=1, occupancy=7)])
    assert [line.partition(" (")[0] for line in lines] == [
        "select_experts on gfx942: vgpr is 54, allowed at most 48",
        "select_experts on gfx942: spills is 1, allowed at most 0",
        "select_experts on gfx942: occupancy is 7, allowed at least 8",
    ]
    assert {place(line) for line in lines} == {"[[isa]] 1: kernel = select_experts)"}


@pytest.mark.parametrize(
    ("key", "applies"),
    [
        ("", True),
        ('op = "*"', True),
        ('op = "topk_softmax"', True),
        ('arch = "gfx942"', True),
        ('arch = "gfx950"', False),
        ('triton = "3.9"', True),
        ('triton = "3.9.0"', True),
        ('triton = "3"', True),
        ('triton = "3.6"', False),
        ('triton = "3.90"', False),
        (f'case = "{CASE}"', True),
        (f'case = "{OTHER}"', False),
        ('op = "topk_sigmoid"', False),
    ],
)
def test_which_entries_apply(budget, key, applies):
    found = budget(f"[[isa]]\n{key}\nvgpr = 1\n[[isa]]\nagpr = 1")
    assert len(check_isa(found, [kernel(vgpr=2)])) == applies


def test_every_entry_that_fits_applies_to_every_kernel(budget):
    found = budget("[[isa]]\nvgpr = 10\n[[isa]]\narch = 'gfx950'\nvgpr = 5\n")
    kernels = [kernel(vgpr=7), kernel(vgpr=7, arch="gfx950"), kernel("sort", vgpr=11)]
    assert [(line.split(":")[0], place(line)[:9]) for line in check_isa(found, kernels)] == [
        ("select_experts on gfx950", "[[isa]] 2"),
        ("sort on gfx942", "[[isa]] 1"),
    ]


def test_a_value_that_nothing_says_is_no_pass(budget):
    found = budget("[[isa]]\ncode_bytes = 100")
    with pytest.raises(RocmoeError, match="code_bytes of select_experts on gfx942 is not known"):
        check_isa(found, [kernel(code_bytes=None)])


def test_counts_are_held_against_their_own_entries(budget):
    found = budget(
        f'[[counts]]\ncase = "{CASE}"\narch = "gfx942"\ntriton = "3.9"\n'
        "instructions_per_token = 14.5\nlds_conflict_cycles = 0\n[[isa]]\nvgpr = 1"
    )
    counts = {"instructions": 1000.0, "instructions_per_token": 15.625}
    lines = check_counts(found, "topk_softmax", CASE, "gfx942", "3.9.0", counts)
    assert lines[0].startswith(
        f"{CASE} on gfx942: instructions_per_token is 15.625, allowed at most 14.5 ("
    )
    assert len(lines) == 1, "a count that is missing is zero"
    assert check_counts(found, "topk_softmax", OTHER, "gfx942", "3.9.0", counts) == []
    assert check_counts(found, "topk_softmax", CASE, "gfx950", "3.9.0", counts) == []
    check_count_keys(found, [("topk_softmax", CASE, "gfx942", "3.9.0")])


def test_a_kernel_that_is_not_there_is_named(budget):
    found = budget('[[isa]]\nkernel = "select_expert"\nvgpr = 1')
    said = "[[isa]] 1: unknown kernel 'select_expert'; nearest: select_experts"
    with pytest.raises(RocmoeError, match=re.escape(said)):
        check_isa(found, [kernel()])


def test_an_entry_of_another_run_may_name_its_own_kernels(budget):
    text = "[[isa]]\nvgpr = 1\n[[isa]]\nkernel = 'x'\nvgpr = 1\n"
    for key in ("op = 'topk_sigmoid'", "triton = '3.6'", f"case = '{OTHER}'", "arch = 'gfx950'"):
        assert check_isa(budget(f"{text}{key}"), [kernel()]) == []


def test_a_case_that_is_not_run_is_named(budget):
    found = budget(f'[[counts]]\ncase = "{OTHER}"\ninstructions = 1')
    with pytest.raises(RocmoeError, match=re.escape(f"unknown case '{OTHER}'; nearest: {CASE}")):
        check_count_keys(found, [("topk_softmax", CASE, "gfx942", "3.9.0")])


@pytest.mark.parametrize(
    "text",
    [
        "[[isa]]\narch = 'gfx950'\nvgpr = 1",
        "[[counts]]\nwaves = 1",
        "[[isa]]\ntriton='3.6'\nvgpr=1",
    ],
)
def test_a_file_without_an_entry_for_the_run_is_refused(budget, text):
    said = "budget.toml: found no entry for topk_softmax on gfx942; wanted at least one"
    with pytest.raises(RocmoeError, match=re.escape(said)):
        check_isa(budget(text), [kernel()])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[isa", "found no TOML"),
        ("", "found no budget; wanted [[isa]] or [[counts]]"),
        ("[[issa]]\nvgpr = 1", "unknown table 'issa'; nearest: isa"),
        ("[isa]\nvgpr = 1", "isa is no list of tables; wanted [[isa]]"),
        ("isa = [1]", "isa is no list of tables; wanted [[isa]]"),
        ("[[isa]]\nvgprs = 1", "[[isa]] 1: unknown key or limit 'vgprs'; nearest: vgpr"),
        ("[[isa]]\nacrh = 'gfx942'\nvgpr = 1", "unknown key or limit 'acrh'; nearest: arch"),
        ("[[counts]]\nkernel = 'x'\nwaves = 1", "[[counts]] 1: unknown key or limit 'kernel'"),
        ("[[counts]]\nvgpr = 1", "unknown key or limit 'vgpr'"),
        ("[[counts]]\ninstruction = 1", "nearest: instructions"),
        ("[[isa]]\nvgpr = 1\n[[isa]]\nop = 'topk_softmax'", "[[isa]] 2: found no limit; wanted"),
        ("[[isa]]\nvgpr = true", "vgpr is True; wanted a number from 0 up"),
        ("[[isa]]\nvgpr = -1", "vgpr is -1; wanted a number from 0 up"),
        ("[[isa]]\nvgpr = nan", "vgpr is nan; wanted a number from 0 up"),
        ("[[isa]]\nvgpr = '64'", "vgpr is '64'; wanted a number from 0 up"),
        ("[[isa]]\nop = 3\nvgpr = 1", "op is 3; wanted a name, or '*'"),
        ("[[isa]]\nop = 'topk_sofmax'\nvgpr = 1", "unknown op 'topk_sofmax'; nearest: topk_so"),
        ("[[isa]]\narch = 'gfx94'\nvgpr = 1", "unknown architecture 'gfx94'; nearest: gfx94"),
        ("[[isa]]\ncase = 'x'\nvgpr = 1", "[[isa]] 1: case 'x': found 1 parts"),
        (f"[[isa]]\ncase = '{CASE.replace('k=8', 'k=0')}'\nvgpr = 1", "k=0 is not in"),
        (
            f"[[counts]]\nop = 'topk_sigmoid'\ncase = '{CASE}'\nwaves = 1",
            "case is one of topk_softmax, but op is 'topk_sigmoid'",
        ),
    ],
)
def test_what_a_budget_may_not_say(budget, text, said):
    with pytest.raises(RocmoeError, match=re.escape(said)) as caught:
        budget(text)
    assert "budget.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RocmoeError, match="cannot be read: No such file or directory"):
        load_budget(tmp_path / "x.toml")


def test_the_names_of_limits_are_those_of_results():
    assert {"vgpr", "spills", "occupancy", "dpp", "loads_b128"} <= set(ISA_LIMITS)
    assert {"instructions", "instructions_valu_per_token", "load_bytes", "waves"} <= set(
        COUNT_LIMITS
    )
