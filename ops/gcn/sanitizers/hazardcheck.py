"""hazardcheck: wait states that software owes between instructions that were executed."""

from __future__ import annotations

import numpy as np

from rocmoe.ops.gcn.machine.fault import Fault
from rocmoe.ops.gcn.machine.run import Report
from rocmoe.ops.gcn.sanitizers.hazards import find_hazards

CHECK = "hazardcheck"


def check_hazards(report: Report) -> None:
    """Add the hazards of a run to its faults; they are those of every wave that comes there."""
    ran = np.flatnonzero(report.executed).tolist()
    entry = report.kernel.entry
    for hazard in find_hazards(report.program, report.transfers, entry, ran):
        message = hazard.describe(report.program)
        times = int(report.executed[hazard.reader])
        fault = Fault(CHECK, hazard.reader, 0, 0, None, message, times)
        report.faults.add(fault, f"{hazard.writer} {hazard.rule}")
