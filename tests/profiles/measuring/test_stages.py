"""Stages of a pipeline: each is timed beside the whole, on what those before it gave."""

import pytest

from rocmoe.ops.backends import torch as torch_backend
from rocmoe.ops.core.case import parse_case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.spec import load_pipeline
from rocmoe.profiles.examination import draw_twice
from rocmoe.profiles.job import Timing
from rocmoe.profiles.measuring import stages
from rocmoe.profiles.measuring.efforts import Rounds
from rocmoe.profiles.measuring.stand import Stand
from rocmoe.profiles.measuring.timers import Effort
from rocmoe.profiles.measuring.timing import examine_and_time

SPEC = load_pipeline("dflash-verify")
CASE = parse_case(
    "dflash_verify:B=3,N=4,V=64:fp32:temperature=0.8,top_k=20,top_p=0.9,threshold_single=1.0,"
    "threshold_acc=1.0:served:contiguous"
)
EFFORT = Effort(samples=3, least=2, seconds=0.01, calls=2)
STAGES = ["temperature", "top_k", "top_p", "chain", "greedy"]


def measure(gpu, variant, *timers):
    implementation = torch_backend.find(SPEC, variant)
    draws = draw_twice(SPEC, CASE)
    stand = Stand(SPEC, CASE, implementation, Device("cpu"), draws, False, gpu, EFFORT)
    return stand.measure(Timing([*timers], ["warm"])), stand.after.verdict()


def test_the_whole_comes_first_and_is_judged_and_then_each_stage(monkeypatch):
    monkeypatch.setattr(
        "rocmoe.profiles.measuring.timing.load_effort", lambda name: Rounds(1, 1, effort=EFFORT)
    )
    examined = examine_and_time(
        SPEC, CASE, torch_backend.find(SPEC, ""), Device("cpu"), strict=False,
        timing=Timing(["wall"], ["warm", "cold"]),
    )  # fmt: skip
    assert examined.verdict.ok
    told = [(each.stage, each.cache) for each in examined.measurements]
    assert told == [(name, cache) for name in ["", *STAGES] for cache in ("warm", "cold")]
    assert all(each.samples_us[0] for each in examined.measurements)
    assert all(each.flush_probe_us for each in examined.measurements if each.cache == "cold")


def test_a_stage_runs_on_what_the_ones_before_it_gave(gpu, monkeypatch):
    seen = {}
    take = stages.take_samples

    def look(timer, machine, work, effort):
        seen[len(seen)] = work.call(0)
        return take(timer, machine, work, effort)

    monkeypatch.setattr(stages, "take_samples", look)
    measure(gpu, "", "wall")
    softened, ranked, massed = (seen[number] for number in range(3))
    assert (ranked > 0).sum(-1).max() <= 20 < (softened > 0).sum(-1).min()
    assert ((massed > 0) <= (ranked > 0)).all()


def test_what_reads_on_the_host_is_refused_a_graph_without_a_capture(gpu, monkeypatch):
    captures = []
    capture = gpu.capture
    monkeypatch.setattr(gpu, "capture", lambda *given: captures.append(1) or capture(*given))
    measurements, after = measure(gpu, "fallback", "graph")
    assert after.ok
    refused = {each.stage: each.reason for each in measurements if each.status == "refused"}
    assert set(refused) == {"", "chain"}
    assert "stage chain reads drafts" in refused[""]
    assert len(captures) == 3, "temperature, top_k and top_p"


@pytest.mark.parametrize(("variant", "names"), [("", STAGES), ("fallback", STAGES[:-1])])
def test_stages_are_those_of_the_implementation(gpu, variant, names):
    measurements, _ = measure(gpu, variant, "wall")
    assert [each.stage for each in measurements] == ["", *names]
