"""Every op's own torch implementation in graphs, on the cases that a run takes by default."""

import pytest

from rocmoe.ops.core.device import Device
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import list_declared, load_op
from rocmoe.profiles.graphs.draws import list_settings
from rocmoe.profiles.graphs.examination import examine_in_graph
from rocmoe.profiles.graphs.record import BRIEF, COUNTS, GraphTask
from rocmoe.profiles.graphs.request import list_graph_cases


@pytest.mark.parametrize("name", list_declared())
def test_they_tell_a_stale_answer_and_torch_is_safe_on_them(name, machine):
    spec = load_op(name)
    tried = set()
    for case in list_graph_cases(spec, seed=0):
        _, record = examine_in_graph(
            spec, case, Implementation(name, "torch", spec.run_torch), Device("cpu"),
            strict=False, task=GraphTask([*BRIEF, COUNTS], False, 1), machine=machine,
        )  # fmt: skip
        assert record.verdict == "safe", record.reason
        tried |= {trial.detail for trial in record.trials if trial.name == COUNTS and trial.ok}
    for setting in list_settings(spec):
        assert any(f"{setting} " in detail for detail in tried), f"{setting} is never changed"
