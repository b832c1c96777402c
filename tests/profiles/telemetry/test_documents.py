"""Values and documents in every form that tools print them."""

from __future__ import annotations

import json

import pytest

from rocmoe.profiles.documents import decode_documents, list_entries
from rocmoe.profiles.telemetry.documents import (
    dig,
    find_highest,
    pick_quantity,
    run_tool,
    to_celsius,
    to_count,
    to_quantity,
)
from rocmoe.profiles.telemetry.reading import ReadError
from rocmoe.profiles.tools import Machine


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (132, 132.0),
        (13.5, 13.5),
        ("48.0", 48.0),
        ("(132Mhz)", 132.0),
        ("132 W", 132.0),
        ("-3", -3.0),
        (0, 0.0),
        ({"value": 132, "unit": "W"}, 132.0),
        ({"value": "7", "unit": "%"}, 7.0),
        ({"value": "N/A", "unit": "W"}, None),
        ({}, None),
        ("N/A", None),
        ("N/A (Secondary die)", None),
        ("", None),
        (None, None),
        (True, None),
        ([1], None),
        (float("nan"), None),
        (65535, None),
        (0xFFFFFFFF, None),
        (0xFFFFFFFFFFFFFFFF, None),
    ],
)
def test_a_quantity_is_a_number_in_any_form(value, number):
    assert to_quantity(value) == number


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (65535, 65535),
        ("53994", 53994),
        ({"value": 3, "unit": ""}, 3),
        ((1 << 64) - 1, None),
        (-1, None),
        ("N/A", None),
        (None, None),
        (False, None),
        (1.5, None),
        ([1, 2], None),
    ],
)
def test_a_counter_is_whole_and_may_be_large(value, count):
    assert to_count(value) == count


def test_temperatures_in_thousandths_are_known_by_their_size():
    assert to_celsius(41) == 41.0
    assert to_celsius(41000) == 41.0
    assert to_celsius("N/A") is None


def test_helpers_pass_over_what_is_not_there():
    assert dig({"a": {"b": 1}}, "a", "b") == 1
    assert dig({"a": "N/A"}, "a", "b") is None
    assert dig([], "a") is None
    assert pick_quantity({"x": "N/A", "y": 2}, "w", "x", "y") == 2.0
    assert pick_quantity("N/A", "x") is None
    assert find_highest([132, "N/A", 2100, 65535]) == 2100.0
    assert find_highest("N/A") is None
    assert find_highest([]) is None


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("", []),
        ("N/A", []),
        ("[broken", []),
        ('{"a": 1', []),
        ('[WARNING] {oops} {"a": 1}', [{"a": 1}]),
        ('{"a": 1}\n[2]\n', [{"a": 1}, [2]]),
        ("[" * 1500, []),
    ],
)
def test_documents_are_found_among_warnings(text, documents):
    assert list(decode_documents(text)) == documents


@pytest.mark.parametrize(
    "document",
    [
        [{"gpu": 0, "a": 1}, {"gpu": 3}],
        {"gpu_data": [{"gpu": 0, "a": 1}, {"gpu": 3}], "nic_data": [{"nic": 0}]},
    ],
)
def test_entries_are_found_under_every_root(document):
    assert list_entries(json.dumps(document)) == {0: {"gpu": 0, "a": 1}, 3: {"gpu": 3}}


@pytest.mark.parametrize(
    "document",
    [
        {"error": "Driver not loaded", "code": -1},
        {"gpu_data": "N/A"},
        {"gpu_data": None},
        [],
        ["N/A"],
        [{"gpu": "N/A"}],
        {},
    ],
)
def test_other_roots_hold_no_entries(document):
    assert list_entries(json.dumps(document)) == {}


def test_a_lone_record_is_an_entry_and_documents_are_joined():
    text = '{"gpu": 0, "a": 1, "b": 1}\n[{"gpu": 0, "b": 2}]'
    assert list_entries(text) == {0: {"gpu": 0, "a": 1, "b": 2}}


def test_a_tool_that_is_not_here_or_hangs_is_an_error_with_the_remedy(tmp_path, machine, add_tool):
    with pytest.raises(ReadError, match=r"^no amd-smi on PATH or in ROCm's folder: install it$"):
        run_tool(machine, "amd-smi", "install it", "static")
    add_tool("amd-smi", script="exec /bin/sleep 60")
    hasty = Machine(tmp_path, machine.environ, 0.2)
    with pytest.raises(ReadError, match=r"amd-smi static does not end within 0\.2 s"):
        run_tool(hasty, "amd-smi", "install it", "static")
    broken = tmp_path / "bin/rocm-smi"
    broken.write_text("#!/no/such/interpreter\n")
    broken.chmod(0o755)
    with pytest.raises(ReadError, match=r"rocm-smi cannot be run \(No such file.*\): install it"):
        run_tool(machine, "rocm-smi", "install it")
