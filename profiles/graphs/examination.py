"""The road of a case in graphs, in one process: judge eager calls, then make the trials."""

from __future__ import annotations

import msgspec

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import describe_error
from rocmoe.ops.core.implementation import Implementation
from rocmoe.ops.core.spec import OpSpec
from rocmoe.profiles.examination import Examination, draw_twice, examine
from rocmoe.profiles.graphs.judging import FaultError
from rocmoe.profiles.graphs.machine import GraphGpu, GraphMachine
from rocmoe.profiles.graphs.record import CAPTURE, GraphRecord, GraphTask, Trial, add_trial
from rocmoe.profiles.graphs.refusal import find_refusal, tell_refusal
from rocmoe.profiles.graphs.rig import Subject
from rocmoe.profiles.graphs.trials import TRIALS, NotTriedError, Session
from rocmoe.profiles.measuring.machine import CaptureError
from rocmoe.references.judging.verdict import Check, Verdict

#: The verdict of a process whose eager calls are judged in another one.
ELSEWHERE = Verdict((Check("tried", True, 0.0, 0.0, "eager calls are judged in another process"),))
EMPTY = GraphRecord("not tried", "nothing was tried")


def examine_in_graph(
    spec: OpSpec,
    case: Case,
    implementation: Implementation,
    device: Device,
    *,
    strict: bool,
    task: GraphTask,
    machine: GraphMachine | None = None,
) -> tuple[Examination, GraphRecord | None]:
    """What eager calls came to, and graphs of them; no graph where eager calls are wrong.

    Where the task does not ask for it eager calls are not judged.
    Raises as `examine`.
    """
    machine = machine or GraphGpu(device.index)
    draws = draw_twice(spec, case)
    with machine.using():
        examined = Examination(ELSEWHERE)
        if task.judged:
            examined = examine(spec, case, implementation, device, strict=strict, draws=draws)
            if not examined.verdict.ok:
                return examined, None
        if reason := spec.out_of_contract(case):
            why = f"out of contract, no answer is right: {reason}"
            return examined, add_trial(EMPTY, Trial(CAPTURE, None, why))
        subject = Subject(spec, case, implementation, device, machine, draws, strict)
        return examined, make_trials(Session(subject, task))


def make_trials(session: Session) -> GraphRecord:
    """Make the trials of a session's task, one after another.

    Behind a capture that failed, or a replay that raised, the process is suspect, and nothing more
    is tried in it.
    """
    record, suspect = EMPTY, ""
    for name in session.task.trials:
        if suspect:
            record = add_trial(record, Trial(name, None, suspect))
            continue
        try:
            trial = Trial(name, True, TRIALS[name](session))
        except NotTriedError as error:
            trial = Trial(name, None, str(error))
        except FaultError as error:
            trial = Trial(name, False, error.words, error.fault)
        except CaptureError as error:
            refusal = find_refusal(error)
            trial = Trial(name, False, tell_refusal(refusal), "refused")
            record = msgspec.structs.replace(record, refusal=refusal)
            suspect = f"the process is suspect behind a capture that failed ({name})"
        except MemoryError as error:
            trial = Trial(name, None, f"it does not fit: {describe_error(error)}")
        except Exception as error:
            trial = _judge_exception(name, error)
            suspect = f"the process is suspect behind an error ({name})"
        record = add_trial(record, trial)
    return msgspec.structs.replace(
        record, nodes=session.nodes, unread=session.unread, answers=session.answers,
        dot=session.dot,
    )  # fmt: skip


def _judge_exception(name: str, error: Exception) -> Trial:
    """A replay that raises is wrong; too little memory says nothing of the candidate."""
    words = describe_error(error)
    if "OutOfMemory" in words:
        return Trial(name, None, f"it does not fit: {words}")
    return Trial(name, False, f"raised {words}", "wrong")
