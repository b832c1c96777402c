"""Work that a timer does not see: what a call leaves on streams that the timed one does not wait
for.

The current stream is kept busy, and gets a marker, the call, and a marker again.  Two events around
the call time what lies between the markers.  Work that begins ahead of the first one did not wait
for the stream, and work that ends behind the second one the stream did not wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rocmoe.ops.core.device import Device
from rocmoe.profiles.measuring.flush import allocate_lines
from rocmoe.profiles.measuring.machine import Accelerator, Activity

#: How long the stream is kept busy, so that the host has queued both markers and the call before
#: the first one runs, under a profiler too: the shorter it is, the more a call may hide.
HOLD_US = 5000.0
#: What the clocks of a profiler are not held to.
TOLERANCE_US = 1.0
#: Of a symbol: a few of torch's, with all their arguments, were two thirds of an artifact.
MOST_LETTERS = 200


class UnseenError(Exception):
    """A profiler did not show what a call did, in one line."""


@dataclass(frozen=True)
class CallInspection:
    """What one call did on the device.

    kernels: the symbols in the order in which they began, with copies and fills, cut where they are
    long.  side_work: why
    two events around the call time less than it does, None if they time it all.
    """

    kernels: tuple[str, ...]
    side_work: str | None


def make_marker(device: Device) -> Callable[[], Any]:
    """A kernel that does nothing, on the current stream; takes what `flush.can_stream` tells."""
    from rocmoe.ops.kernels.stream import empty

    tensor = allocate_lines(device, 4)
    return lambda: empty(tensor)


def inspect_call(
    machine: Accelerator, call: Callable[[], Any], marker: Callable[[], Any]
) -> CallInspection:
    """Make one call under the profiler, and see what it does and when.

    marker: as of `make_marker`; the call must not run a kernel of its name.  Raises `UnseenError`
    where the profiler does not show both markers.
    """
    marker()  # compiles
    machine.synchronize()

    def work() -> None:
        marker()
        machine.hold(HOLD_US)
        marker()
        call()
        marker()

    # What is queued first begins first: a marker, which tells its name, and what holds the stream.
    (sign, _), seen = _split(machine.profile(work), 2)
    markers = [each for each in seen if each.name == sign.name]
    if len(markers) != 2:
        raise UnseenError(f"the profiler saw {len(markers)} of the 2 markers around a call")
    mine = [each for each in seen if each.name != sign.name]
    return CallInspection(tuple(map(_cut, (each.name for each in mine))), _judge(mine, *markers))


def _cut(symbol: str) -> str:
    return symbol if len(symbol) <= MOST_LETTERS else f"{symbol[:MOST_LETTERS]}..."


def _split(
    activities: Sequence[Activity], count: int
) -> tuple[Sequence[Activity], Sequence[Activity]]:
    if len(activities) < count:
        raise UnseenError(f"the profiler saw {len(activities)} of what the device did")
    return activities[:count], activities[count:]


def _judge(mine: Sequence[Activity], first: Activity, last: Activity) -> str | None:
    """The activity that is furthest out of the stretch between two markers, if one is."""
    ahead = [(first.start_us - each.start_us, "began", "before", each) for each in mine]
    behind = [(each.end_us - last.start_us, "ended", "after", each) for each in mine]
    furthest = max(ahead + behind, key=lambda found: found[0], default=None)
    if furthest is None or furthest[0] <= TOLERANCE_US:
        return None
    us, verb, side, each = furthest
    timed = f"{us:.1f} us {side} what is timed of its call"
    return f"{each.name} on stream {each.stream} {verb} {timed}"
