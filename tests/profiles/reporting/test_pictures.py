"""Figures as files."""

import pytest

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.reporting.pictures import check_pictures, write_pictures

PNG = b"\x89PNG\r\n"


def test_latency_roofline_and_floor_are_drawn(tmp_path, make_sources, make_result):
    sources = make_sources(make_result(1, "user:$x$.py:f", 4.0, stream=2.0),
                           make_result(64, us=8.0, stream=2.0))  # fmt: skip
    paths = write_pictures(sources.runs, tmp_path)
    assert [path.name for path in paths] == ["latency-topk_softmax.png", "roofline.png",
                                             "floor.png"]  # fmt: skip
    assert all(path.read_bytes().startswith(PNG) for path in paths)


def test_what_has_no_times_is_refused(tmp_path, make_sources, make_result):
    with pytest.raises(RocmoeError, match="nothing was timed"):
        write_pictures(make_sources(make_result(1)).runs, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(RocmoeError, match=r"--png .*cannot be written"):
        check_pictures(file)
