"""Pictures: what is drawn where, the same bytes each time, and what cannot be drawn."""

import sys

import matplotlib
import pytest
from matplotlib.figure import Figure

from rocmoe.ops.core.errors import RocmoeError
from rocmoe.profiles.artifact import Measurement
from rocmoe.profiles.hardware import load_hardware
from rocmoe.profiles.plots.curves import find_latency_curves
from rocmoe.profiles.plots.latency import draw_latency
from rocmoe.profiles.plots.page import check_plots, draw_page, try_plots, write_plots
from rocmoe.profiles.plots.roof_points import RoofChart, RoofPoint, find_roofline_points
from rocmoe.profiles.plots.roofline import draw_roofline
from rocmoe.profiles.plots.style import choose_looks


@pytest.fixture
def artifact(make_artifact, make_result):
    return make_artifact(
        make_result(1, [[2.0, 2.2], [2.1, 2.0]], stream=1.5, empty=1.0),
        make_result(64, [[4.0, 4.1]], stream=3.0, empty=1.0),
        make_result(1024, [[2.5]], stream=3.0, empty=1.0, status="pass"),
        make_result(1, [[3.0]], "user:a$b$c.py:f"),
        make_result(8, [[5.0]], op="top_p_renorm_probs"),
        make_result(64, None, "aiter", status="crash"),
    )


def test_the_lines_are_the_medians_and_the_scales_logarithmic(artifact):
    panel = find_latency_curves(artifact)[0]
    axes = Figure().subplots()
    draw_latency(axes, panel, choose_looks(curve.label for curve in panel.curves))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    drawn = [[*map(tuple, line.get_xydata())] for line in axes.lines]
    for curve in (*panel.curves, *panel.floors):
        if len(curve.points) > 1:
            assert [(point.tokens, point.us.value) for point in curve.points] in drawn
    assert axes.get_ylabel() == "µs a call (graph, warm)"
    assert axes.get_xlabel() == "tokens (T)"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "64", "1k"]
    low, high = axes.get_ylim()
    assert low < 1.0, "the lowest floor"
    assert high > 4.1, "the highest interval"


@pytest.mark.parametrize(
    ("status", "marker", "hollow"),
    [("ok", "o", False), ("unverified", "o", True), ("invalid", "x", True)],
)
def test_a_time_that_does_not_count_looks_different(
    make_artifact, make_result, status, marker, hollow
):
    taken = Measurement("graph", "warm", status, [[2.0]], [20])
    (panel,) = find_latency_curves(make_artifact(make_result(1, more=[taken])))
    axes = Figure().subplots()
    draw_latency(axes, panel, choose_looks(["triton"]))
    (point,) = [line for line in axes.lines if line.get_marker() in ("o", "x")]
    assert point.get_marker() == marker
    assert (point.get_markerfacecolor() == "white") == hollow
    joined = [line for line in axes.lines if line.get_linestyle() == "-" and len(line.get_xdata())]
    assert bool(joined) == (status != "invalid"), "no line goes through what does not count"


def test_the_roofs_are_those_of_the_hardware():
    hardware = load_hardware("mi300x")
    chart = RoofChart(hardware, "kernels", (RoofPoint("a", "k", 0.5, 0.1, 3.0),))
    axes = Figure().subplots()
    draw_roofline(axes, chart, choose_looks(["a"]))
    memory, compute, points = (line.get_xydata().tolist() for line in axes.lines)
    for intensity, tflops in memory:
        assert tflops == pytest.approx(intensity * 5.3)
    assert {tflops for _, tflops in compute} == {163.4}
    assert memory[-1] == pytest.approx(compute[0]), "they meet at the ridge"
    assert points == [[0.5, 0.1]]


def test_pictures_are_of_both_kinds_and_the_same_each_time(artifact, tmp_path):
    paths = [tmp_path / name for name in ("a.png", "a.svg", "b.SVG")]
    check_plots(paths)
    with matplotlib.rc_context({"lines.linewidth": 9.0, "axes.facecolor": "red"}):
        write_plots(artifact, paths[:2])
    write_plots(artifact, paths[2:])
    assert paths[0].read_bytes().startswith(b"\x89PNG\r\n")
    svg = paths[1].read_text()
    assert svg == paths[2].read_text(), "neither the day nor the user's settings"
    for words in ("tokens (T)", "rows (B)", "E=256 k=8 bf16", "a$b$c", "aiter: crash at T=64",
                  "roofline of NVIDIA H100 SXM5", "FP32 vector 66.9",
                  "of a single process"):  # fmt: skip
        assert words in svg
    assert "<dc:date>" not in svg
    assert matplotlib.rcParams["svg.hashsalt"] is None, "no settings are left behind"


def test_a_page_of_a_roofline_alone(artifact):
    chart = find_roofline_points(artifact)
    assert b"roofline of" in draw_page([], chart, "kernels of a profile", ".svg")


def test_no_two_series_look_alike():
    looks = choose_looks(map(str, range(48))).values()
    assert len({(each.colour, each.marker, str(each.line)) for each in looks}) == 48
    first = [*looks][:6]
    assert len({each.marker for each in first}) == 6, "told apart in grey"


def test_a_run_without_times_keeps_its_outcome(make_artifact, make_result, tmp_path):
    empty = make_artifact(make_result(1, status="fail"))
    with pytest.raises(RocmoeError, match=r"nothing to draw on .*: nothing was timed"):
        write_plots(empty, [tmp_path / "a.png"])
    assert "nothing was timed" in try_plots(empty, [tmp_path / "a.png"])
    assert try_plots(empty, []) == ""
    assert not (tmp_path / "a.png").exists()
    timed = make_artifact(make_result(1, [[2.0]]))
    assert try_plots(timed, [tmp_path / "a.png"]) == f"plot: {tmp_path / 'a.png'}\n"


def test_what_cannot_be_drawn_is_refused_before_anything_runs(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    for name, told in (
        ("a.pdf", r"a.pdf: found '.pdf', wanted .png or .svg"),
        ("a", "found 'no suffix', wanted .png or .svg"),
        ("file/a.png", "--plot .*file/a.png cannot be written"),
    ):
        with pytest.raises(RocmoeError, match=told):
            check_plots([tmp_path / name])
    with pytest.raises(RocmoeError, match="sim:gfx942 has no time to draw"):
        check_plots([tmp_path / "a.png"], "sim:gfx942")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RocmoeError, match=r"needs matplotlib .*pip install 'rocmoe\[plot\]'"):
        check_plots([tmp_path / "a.png"])
    check_plots([])
