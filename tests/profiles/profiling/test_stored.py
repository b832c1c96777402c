"""What is read and not made: an artifact is told from what profilers wrote."""

from pathlib import Path

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.profiling.stored import is_artifact, read_stored

FIXTURES = Path(__file__).parent / "fixtures"
STORED = Path(__file__).parents[3] / "docs/artifacts/bench-h100-gating.json"


def test_an_artifact_is_told_by_how_it_begins():
    assert is_artifact(STORED)
    for path in (FIXTURES, FIXTURES / "v70.json", FIXTURES / "v63" / "counters_18.csv"):
        assert not is_artifact(path)


def test_an_artifact_without_a_profile_and_options_that_it_has_no_use_for_are_told():
    with pytest.raises(RocmoeError, match="holds no profile; `rocmoe profile OP` makes one"):
        read_stored(STORED, None, None, None)
    for hardware, empty in (("h100", None), (None, "1.5")):
        with pytest.raises(RocmoeError, match="is an artifact, which has its own; leave out"):
            read_stored(STORED, None, hardware, empty)


def test_what_a_profiler_wrote_is_read_with_what_it_does_not_tell():
    *_, diagnoses = read_stored(FIXTURES / "v63", "divide", "mi300x", "9.5")
    ((kernel, line),) = diagnoses.rows
    assert kernel == "divide_kernel"
    assert line.startswith("launch-bound: 11.2 us, and an empty kernel takes 9.5 us")
    for pattern, hardware, empty, said in (
        ("divid_kernel", None, None, "divide_kernel"),
        (None, "mi300", None, "unknown hardware 'mi300'"),
        (None, None, "fast", "wanted microseconds above 0"),
    ):
        with pytest.raises(RocmoeError, match=said):
            read_stored(FIXTURES / "v63", pattern, hardware, empty)
    with pytest.raises(RocmoeError, match="found nothing"):
        read_stored(FIXTURES / "gone", None, None, None)
