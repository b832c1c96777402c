"""The metadata's YAML, and the records made of it."""

from __future__ import annotations

from typing import Any

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.ops.gcn.metadata import Argument, read_kernels
from rocmoe.ops.gcn.source import Line
from rocmoe.ops.gcn.yaml import read_yaml

KERNEL = {
    ".name": "k",
    ".symbol": "k.kd",
    ".args": [{".offset": 8, ".size": 4, ".value_kind": "hidden_block_count_x"}],
    ".kernarg_segment_size": 16,
    ".kernarg_segment_align": 8,
    ".group_segment_fixed_size": 0,
    ".private_segment_fixed_size": 0,
    ".wavefront_size": 64,
    ".sgpr_count": 16,
    ".vgpr_count": 8,
    ".max_flat_workgroup_size": 256,
}


def parse(text: str) -> Any:
    return read_yaml([Line("f.s", n, raw) for n, raw in enumerate(text.splitlines(), 1)])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a: 1\nb: -2\nc: 0x10", {"a": 1, "b": -2, "c": 16}),
        ("a: true\nb: false\nc: ~", {"a": True, "b": False, "c": None}),
        ("a: 'it''s'\nb: \"a: \\\"b\\\"\"", {"a": "it's", "b": 'a: "b"'}),
        ("a: [ 1, 2 ]\nb: [ ]\nc: { }", {"a": [1, 2], "b": [], "c": {}}),
        ("a:\n  - 1\n  - 2", {"a": [1, 2]}),
        ("a:\n- 1\n- x\nb: 2", {"a": [1, "x"], "b": 2}),
        ("a:\n  - b: 1\n    c: 2\n  - b: 3", {"a": [{"b": 1, "c": 2}, {"b": 3}]}),
        ("a:\n  - b:\n      - c: 1\n    d: 2", {"a": [{"b": [{"c": 1}], "d": 2}]}),
        ("-\n  a: 1\n- - 1\n  - 2", [{"a": 1}, [1, 2]]),
        ("---\na:\nb: 1\n...", {"a": None, "b": 1}),
        ("a.b: x::y\n'c d': 010", {"a.b": "x::y", "c d": "010"}),
        ("", None),
    ],
)
def test_reads_yaml(text: str, wanted: object) -> None:
    assert parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\n   b: 2", "f.s:2: metadata is not indented"),
        ("a: 1\na: 2", "f.s:2: metadata gives a twice"),
        ("a: 1\nword", "f.s:2: metadata wants KEY: VALUE"),
        ("a: |\n  text", "f.s:1: metadata value cannot be read"),
        ("a: &x 1", "f.s:1: metadata value cannot be read"),
        ("a: [1,", "f.s:1: metadata value cannot be read"),
    ],
)
def test_refuses_other_yaml(text: str, problem: str) -> None:
    with pytest.raises(RocmoeError) as caught:
        parse(text)
    assert problem in str(caught.value)


def test_reads_a_kernel_with_defaults_for_what_may_be_left_out() -> None:
    (kernel,) = read_kernels({"amdhsa.kernels": [KERNEL]}, "f.s")
    assert kernel.arguments == (Argument(8, 4, "hidden_block_count_x"),)
    assert kernel.arguments[0].is_hidden
    assert (kernel.agpr_count, kernel.vgpr_spill_count, kernel.uses_dynamic_stack) == (0, 0, False)
    assert kernel.required_workgroup_size is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({".vgpr_count": None}, "f.s: metadata of a kernel k: .vgpr_count is None"),
        ({".sgpr_count": "many"}, ".sgpr_count is 'many', wanted an integer"),
        ({".args": 3}, ".args is 3, wanted a list"),
        ({".args": [{".offset": 0, ".size": 8}]}, "an argument: .value_kind is None"),
        ({".name": 7}, ".name is 7, wanted a string"),
    ],
)
def test_names_the_field_that_is_wrong(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(RocmoeError) as caught:
        read_kernels({"amdhsa.kernels": [{**KERNEL, **changes}]}, "f.s")
    assert problem in str(caught.value)


@pytest.mark.parametrize("document", [None, {}, {"amdhsa.kernels": 1}, []])
def test_refuses_a_document_without_kernels(document: object) -> None:
    with pytest.raises(RocmoeError, match=r"no list amdhsa\.kernels"):
        read_kernels(document, "f.s")
