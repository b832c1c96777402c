"""What is selected for the sections of a report, whatever it is rendered as."""

import msgspec
import pytest

from rocmoe.profiles.artifact import write_artifact
from rocmoe.profiles.graphs.record import GraphRecord
from rocmoe.profiles.outcome import Exit
from rocmoe.profiles.profiling.record import KernelRecord, ProfileRecord
from rocmoe.profiles.reporting.changes import make_changes
from rocmoe.profiles.reporting.commands import write_command
from rocmoe.profiles.reporting.heat import make_heat
from rocmoe.profiles.reporting.history import make_history
from rocmoe.profiles.reporting.insights import (
    make_counts,
    make_findings,
    make_graphs,
    make_profiles,
)
from rocmoe.profiles.reporting.latency import list_ticks, make_latency, make_rooflines
from rocmoe.profiles.reporting.machine import make_environment
from rocmoe.profiles.reporting.report import make_report
from rocmoe.profiles.reporting.results import make_results
from rocmoe.profiles.reporting.sources import Files, Pair, Run, read_sources
from rocmoe.profiles.reporting.summary import judge, list_all_gaps, make_headline


@pytest.fixture
def make_run(make_artifact):
    def make(name, *results, **told):
        return Run(name, make_artifact(*results, **told))

    return make


def test_the_headline_has_the_worst_outcome_and_counts_what_ran(make_run, make_result):
    good = make_run("good", make_result(1, us=4.0), make_result(2, status="refused", reason="no"))
    bad = make_run("bad", make_result(3, status="crash", reason="died"))
    assert make_headline([good, bad]).outcome == "FAILED"
    assert make_headline([good, bad]).cases == "1 of 2 results pass, 1 op"


def test_a_run_is_judged_by_the_rules_of_its_command(make_run, make_result):
    untimed = make_result(1)
    assert judge(make_run("v", untimed, command="validate").artifact) is Exit.PASSED
    invalid = make_result(1, us=1.0, measured="invalid")
    assert judge(make_run("b", invalid, command="bench").artifact) is Exit.INCONCLUSIVE
    assert judge(make_run("p", invalid, command="profile").artifact) is Exit.PASSED
    assert judge(make_run("s", untimed, command="sanitize").artifact) is Exit.INCONCLUSIVE


def test_what_was_not_tested_names_the_runs_only_where_not_all_have_it(make_run, make_result):
    refused = make_result(2, status="refused", reason="no")
    runs = [make_run("one", refused), make_run("two", refused, make_result(3, device="cpu"))]
    gaps = list_all_gaps(runs)
    assert "triton: 1 case(s) refused: no" in gaps
    assert "two: no GPU: everything ran on cpu" in gaps


def test_every_result_has_a_row_and_columns_that_are_empty_are_left_out(make_run, make_result):
    timed = make_run("a", make_result(1, us=4.0, stream=2.0))
    counted = make_run("b", make_result(2, device="sim:gfx942",
                                        counts={"instructions_per_token": 7.0}))  # fmt: skip
    section = make_results([timed, counted])
    (table,) = section.tables
    first, second = (dict(zip(table.columns, row, strict=True)) for row in table.rows)
    assert first["graph us"] == "4.00"
    assert first["x floor"] == "2.00"
    assert second["graph us"] == "-"
    assert second["instr/token"] == "7"
    assert (first["run"], second["run"]) == ("a", "b")
    assert "reason" not in table.columns
    assert section.choices == ("run", "op", "backend", "device", "status", "cache", "measured")
    assert "run" not in make_results([timed]).tables[0].columns


def test_latency_has_a_trace_a_backend_and_floor_with_intervals(make_run, make_result):
    results = [make_result(t, b, us * t, stream=1.0) for t in (1, 64)
               for b, us in (("torch", 8.0), ("triton", 4.0))]  # fmt: skip
    (figure,) = make_latency([make_run("run", *results)]).figures
    floor, torch, triton = figure.traces
    assert (torch["name"], torch["x"], torch["y"]) == ("torch", [1, 64], [8.0, 512.0])
    assert floor["meta"] == {"look": "floor"}
    assert triton["meta"] == {"look": 1}
    assert torch["error_y"]["array"][0] == pytest.approx(0.08)
    assert figure.table.rows[0] == ["1", "8.00 [7.92, 8.08]", "4.00 [3.96, 4.04]", "1.00"]


def test_of_two_runs_of_one_machine_the_newer_is_drawn(make_run, make_result):
    old = make_run("old", make_result(1, us=8.0), created="2026-01-01T00:00:00+00:00")
    new = make_run("new", make_result(1, us=4.0), created="2026-02-01T00:00:00+00:00")
    other = make_run("other", make_result(1, us=2.0), gpu="AMD Instinct MI300X")
    figures = make_latency([new, old, other]).figures
    assert [figure.traces[0]["y"] for figure in figures] == [[4.0], [2.0]]
    assert figures[1].title.endswith("AMD Instinct MI300X")


def test_times_of_captured_graphs_replace_none_of_a_benchmark(make_run, make_result):
    ladder = [make_result(tokens, us=4.0 + tokens, stream=2.0) for tokens in (1, 64)]
    bench = make_run("bench", *ladder, created="2026-01-01T00:00:00+00:00")
    graph = make_run("graph", make_result(64, us=9.0, stream=2.0), command="graph",
                     created="2026-02-01T00:00:00+00:00")  # fmt: skip
    (figure,) = make_latency([graph, bench]).figures
    assert len(figure.traces[-1]["x"]) == 2
    (heat,) = make_heat([graph, bench]).heats
    assert heat == make_heat([bench]).heats[0]
    (alone,) = make_latency([graph]).figures
    assert len(alone.traces[-1]["x"]) == 1


def test_what_does_not_count_is_marked(make_run, make_result):
    doubted = make_run("run", make_result(1, us=4.0, measured="invalid"),
                       make_result(64, us=4.0, measured="throttled"))  # fmt: skip
    (figure,) = make_latency([doubted]).figures
    assert figure.traces[0]["marker"]["symbol"] == ["x-thin-open", "circle-open"]
    assert "throttled" in figure.table.rows[1][1]


def test_ticks_are_round_numbers_around_the_times():
    assert list_ticks(1.0, 30.0) == [1.0, 2.0, 5.0, 10.0, 20.0]
    assert list_ticks(2.0, 3.0) == [1.5, 2.0, 3.0, 4.0]
    assert list_ticks(1.0, 1e4) == [1.0, 10.0, 100.0, 1000.0, 10000.0]
    assert list_ticks(4.0, 4.0) == [3.0, 4.0, 5.0]


def test_the_roofline_is_of_all_runs_of_a_machine(make_run, make_result):
    runs = [make_run("a", make_result(64, us=4.0)),
            make_run("b", make_result(8, us=4.0, op="topk_sigmoid"))]  # fmt: skip
    (figure,) = make_rooflines(runs).figures
    assert [trace["name"] for trace in figure.traces[2:]] == ["topk_softmax", "topk_sigmoid"]
    assert figure.traces[0]["name"] == "memory 3.35 TB/s"
    assert make_rooflines([make_run("c", make_result(1, us=4.0), gpu="Unheard of")]).is_empty


def test_the_map_has_the_share_of_the_floor_by_shape_and_tokens(make_run, make_result):
    run = make_run("run", make_result(1, us=4.0, stream=2.0), make_result(1024, us=8.0, stream=6.0),
                   make_result(64, us=4.0))  # fmt: skip
    (heat,) = make_heat([run]).heats
    assert heat.columns == ("1", "1k")
    ((labels, cells),) = heat.rows
    assert labels == ("topk_softmax", "E=256 k=8 bf16", "triton")
    assert [(cell.text, cell.share) for cell in cells] == [("50%", 0.5), ("75%", 0.75)]


def test_a_share_that_does_not_count_has_no_colour(make_run, make_result):
    run = make_run("run", make_result(1, us=1.0, stream=2.0, measured="invalid"))
    ((_, (cell,)),) = make_heat([run]).heats[0].rows
    assert cell.share is None
    assert cell.text == "(200%)"


def test_findings_are_listed_once_in_the_order_of_the_code(make_run, make_result, make_finding):
    findings = [make_finding(41, "load past the end"), make_finding(7, "stale", text="s_nop 0")]
    told = {"status": "fail", "device": "sim:gfx942", "findings": findings}
    results = [
        make_result(t, f"triton:order={order}", **told)
        for t in (1, 2)
        for order in ("first", "last")
    ]
    section = make_findings([make_run("run", *results, command="sanitize")])
    assert len(section.tables[0].rows) == 2
    assert section.tables[0].rows[0][-2:] == ["first, last", "2"]
    (listing,) = section.listings
    assert [text.split()[0] for text, _ in listing.lines] == ["7", "^", "...", "41", "^"]
    assert [remark for _, remark in listing.lines] == [False, True, False, False, True]


def test_graphs_and_profiles_are_shown_as_their_commands_do(make_run, make_result):
    unsafe = make_result(1, graph=GraphRecord("stale", "unchanged inputs: an old answer"))
    (table,) = make_graphs([make_run("g", unsafe, command="graph")]).tables
    assert table.rows[0][3] == "stale"
    assert "STALE topk_softmax:T=1" in table.summary[0]
    kernel = KernelRecord(
        "void <b>k</b>(int*)", "<b>k</b>", 20, 1.0, [4000] * 20, [], 1, 64, None, None, 32, 0, 32,
        16, 50.0, ["VGPR"], "gfx942", {}, [], None, None,
    )  # fmt: skip
    record = ProfileRecord("rocprofv3", "1.0", "csv", 20, None, None, [kernel])
    section = make_profiles([make_run("p", make_result(1, profile=record), command="profile")])
    row = dict(zip(section.tables[0].columns, section.tables[0].rows[0], strict=True))
    assert (row["kernel"], row["median us"], row["VGPR"]) == ("<b>k</b>", "4.00", "32")


def test_counts_are_of_simulated_results_alone(make_run, make_result):
    counts = {"instructions_per_token": 12.5, "instructions": 800.0, "waves": 4.0}
    run = make_run("run", make_result(64, device="sim:gfx942", counts=counts), make_result(64))
    (table,) = make_counts([run]).tables
    (row,) = table.rows
    told = dict(zip(table.columns, row, strict=True))
    assert (told["instr/token"], told["instructions"], told["waves"]) == ("12.5", "800", "4")


def test_history_is_of_runs_of_one_machine(make_run, make_result):
    runs = [make_run(f"r{n}", make_result(1, us=us), make_result(n + 2, us=3.0),
                     created=f"2026-0{n}-01T00:00:00+00:00")
            for n, us in ((2, 4.0), (1, 8.0))]  # fmt: skip
    section = make_history([*runs, make_run("other", make_result(1, us=1.0), gpu="Other")])
    (table,) = section.tables
    (row,) = table.rows
    assert table.columns[3:5] == ("r1 2026-01-01 us", "r2 2026-02-01 us")
    assert row[1:5] == ["triton", "graph warm", "8.00", "4.00"]
    assert row[5].startswith("-50.0% [")
    assert row[6] == "FASTER"
    assert section.figures[0].traces[0]["y"] == [1.0, 0.5]
    assert make_history(runs[:1]).is_empty


def test_the_environment_has_a_column_where_all_runs_are_alike(make_run, make_result):
    one, two = make_run("one", make_result(1)), make_run("two", make_result(1), gpu="Other")
    assert make_environment([one, one]).tables[0].columns == ("", "all runs")
    table = make_environment([one, two]).tables[0]
    assert table.columns == ("", "one", "two")
    assert table.rows[0] == ["GPU 0", "NVIDIA H100 80GB HBM3 (sm_90), 80 GiB",
                             "Other (sm_90), 80 GiB"]  # fmt: skip


def test_what_a_change_made_worse_is_in_the_headline_and_first(make_run, make_result, tmp_path):
    for name, us in (("old", 4.0), ("new", 8.0)):
        run = make_run(name, make_result(1, us=us), make_result(2, us=4.0))
        write_artifact(run.artifact, tmp_path / f"{name}.json")
    pair = Pair("", tmp_path / "old.json", tmp_path / "new.json")
    report = make_report(read_sources(Files(runs=pair)))
    assert report.headline.change.startswith("old.json against new.json: regressed (exit 3): 1 reg")
    section = report.sections[0]
    assert [table.title for table in section.tables] == ["Worse", "Unchanged"]
    assert section.tables[0].rows[0][:2] == ["SLOWER", f"{make_result(1).case.id}@triton"]


def test_a_change_that_is_not_given_is_no_section():
    assert make_changes(None).is_empty


def test_sections_without_anything_are_not_there(make_sources, make_result):
    report = make_report(make_sources(make_result(1)))
    assert [section.key for section in report.sections] == ["results", "environment", "reproduce"]


def write(make_run, make_result, **told):
    request = make_run("run", make_result(1), **told).artifact.request
    return write_command(request)


CASE = "topk_softmax:T=1,E=256,k=8:bf16:renormalize=true:normal:contiguous"


@pytest.mark.parametrize(
    ("told", "command"),
    [
        ({"command": "bench", "backends": ["triton", "user:mine.py:f"], "models": ["deepseek-v3"],
          "tokens": [1, 64], "effort": "quick", "cases": [CASE]},
         "rocmoe bench --backend triton --impl mine.py:f --model deepseek-v3 --tokens 1,64 "
         "--device gpu \\\n    --timer graph --cache warm --quick"),
        ({"command": "bench", "cases": [CASE], "seed": 3, "strict": True, "effort": "quick"},
         f"rocmoe bench topk_softmax --case {CASE} \\\n    --device gpu --timer graph --cache warm "
         "--quick --seed 3 --strict"),
        ({"command": "validate", "suite": "quick", "device": None, "disabled": ["aiter"],
          "guard": False},
         "rocmoe validate topk_softmax --backend '!aiter' --suite quick --no-guard"),
        ({"command": "sanitize", "suite": "smoke", "device": "sim:gfx942", "ops": [],
          "backends": ["assembly:x.toml:order=first", "assembly:x.toml:order=last"]},
         "rocmoe sanitize x.toml --device sim:gfx942 --suite smoke"),
        ({"command": "validate", "suite": "full", "device": None, "ops": ["a", "b"]},
         "rocmoe validate --suite full"),
    ],
)  # fmt: skip
def test_commands_are_written_anew(make_run, make_result, told, command):
    assert write(make_run, make_result, **told) == command


def test_the_same_report_is_made_twice(make_sources, make_result):
    sources = make_sources(make_result(1, us=4.0, stream=2.0))
    first, second = make_report(sources), make_report(sources)
    assert msgspec.json.encode(first.sections) == msgspec.json.encode(second.sections)
