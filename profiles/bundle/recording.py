"""In a worker: an examination whose inputs and outputs are written down, or were before."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rocmoe.ops.core.case import Case
from rocmoe.ops.core.device import Device
from rocmoe.ops.core.errors import InputsError, describe_error
from rocmoe.ops.core.implementation import Implementation, torch_dtype
from rocmoe.ops.core.spec import Inputs, OpSpec
from rocmoe.ops.core.workbench import Call
from rocmoe.profiles.bundle.draws import read_draw, record_draw
from rocmoe.profiles.examination import Examination, draw_twice, examine

#: Which draw each call of an examination is given, by its number.
DRAWN: Mapping[int, int] = {1: 0, 2: 1, 3: 0, 4: 2}
DRAWS = "draws.json"
CALL = "call.py"
FOLDERS = ("inputs", "expected", "actual")

#: Bytes that the inputs of a bundle may have, counted in float64.
MOST_INPUT_BYTES = 1 << 28


def examine_recorded(
    spec: OpSpec, case: Case, implementation: Implementation, device: Device, strict: bool, out: str
) -> Examination:
    """As `examine`, and writes into the folder `out` what came in, was due and came out.

    The inputs are written before the first call, since a candidate may not survive it.
    """
    folder = Path(out)
    for name in FOLDERS:
        (folder / name).mkdir()
    draws = draw_twice(spec, case)
    if (size := sum(_count_bytes(inputs) for inputs in draws)) > MOST_INPUT_BYTES:
        raise InputsError(
            f"the inputs have {size >> 20} MiB, wanted at most {MOST_INPUT_BYTES >> 20} in a "
            "bundle; make the case smaller first"
        )
    for number, inputs in enumerate(draws):
        _write_draw(folder, number, spec, case, inputs)
    # Of a library: how its function is called, which stands alone.
    if binder := getattr(implementation.for_case(case), "binder", None):
        (folder / CALL).write_text(inspect.getsource(binder), encoding="utf-8")

    def write_call(number: int, inputs: Inputs, call: Call) -> None:
        drawn, of = DRAWN[number], case
        if number == 4 and spec.second_look is not None:
            of = spec.second_look(case)
            _write_draw(folder, drawn, spec, of, inputs)
        _write_tensors(folder / f"actual/{number}.safetensors", spec, of, call.outputs)

    return examine(
        spec, case, implementation, device, strict=strict, draws=draws, on_call=write_call
    )


def examine_replayed(
    spec: OpSpec, case: Case, implementation: Implementation, device: Device, strict: bool, at: str
) -> Examination:
    """As `examine`, on the inputs in the folder `at`."""
    draws = read_draws(spec, case, Path(at))
    return examine(spec, case, implementation, device, strict=strict, draws=draws)


def read_draws(spec: OpSpec, case: Case, folder: Path) -> Sequence[Inputs]:
    """The inputs of a case in a folder, in order; `InputsError` where they cannot be used."""
    cases = [case, case, *([spec.second_look(case)] if spec.second_look else [])]
    try:
        records = json.loads((folder / DRAWS).read_text(encoding="utf-8"))
        found = [record["case"] for record in records]
        if len(found) < 2 or found != [each.id for each in cases][: len(found)]:
            raise InputsError(f"they are {len(found)}, and not all of case {case.id}")
        files = [folder / f"inputs/{number}.safetensors" for number in range(len(found))]
        return [
            read_draw(spec, of, record, file.read_bytes())
            for of, record, file in zip(cases, records, files, strict=False)
        ]
    except Exception as error:  # safetensors has exceptions of its own, of no common base
        words = describe_error(error).encode("ascii", "backslashreplace").decode()
        raise InputsError(f"the stored inputs cannot be used: {words}") from error


def _write_draw(folder: Path, number: int, spec: OpSpec, case: Case, inputs: Inputs) -> None:
    record, content = record_draw(spec, case, inputs)
    (folder / f"inputs/{number}.safetensors").write_bytes(content)
    path = folder / DRAWS
    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    path.write_text(json.dumps([*records, record], indent=1) + "\n", encoding="utf-8")
    if not spec.out_of_contract(case):
        expected = spec.oracle(**inputs)
        _write_tensors(folder / f"expected/{number}.safetensors", spec, None, expected)


def _write_tensors(path: Path, spec: OpSpec, case: Case | None, values: Mapping[str, Any]) -> None:
    """Outputs in the dtypes declared for a case, or as they are: of an oracle, in float64."""
    import numpy as np
    import safetensors.torch
    import torch

    tensors = {}
    for output in spec.outputs:
        if output.name in values:
            made = torch.from_numpy(np.array(values[output.name]))
            tensors[output.name] = made.to(torch_dtype(output, case)) if case else made
    path.write_bytes(safetensors.torch.save(tensors))


def _count_bytes(inputs: Inputs) -> int:
    """Of the arrays, which hold eight bytes an element whatever the case's dtype."""
    return sum(getattr(value, "size", 0) * 8 for value in inputs.values())
