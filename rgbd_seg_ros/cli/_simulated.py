"""Plays in virtual time with the real models: the core and a segmenter in this process, no ROS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rgbd_seg_ros.cli._play import Play
from rgbd_seg_ros.core.frames import Frame, Mode, Sensor
from rgbd_seg_ros.core.records import WorkOrder
from rgbd_seg_ros.core.stream import RgbdStream, StreamConfig
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.evaluation.comparison import policy_row
from rgbd_seg_ros.evaluation.joining import join
from rgbd_seg_ros.inference.segmenter import Segmenter
from rgbd_seg_ros.replay.policies import AlwaysFusion, PerfectSwitch, Synchroniser
from rgbd_seg_ros.replay.recording import Recording
from rgbd_seg_ros.replay.simulate import Labeller, Policy, SimulatedTimes, simulate

Label = npt.NDArray[np.uint8]
REMEMBERED_BYTES = 256 << 20
"""Label images kept for the next play of the same sequence; most frames of a campaign are the same healthy ones."""


class MemoLabeller:
    """Labels work orders with a segmenter and remembers what it did to images that come again.

    Images of a packed sequence are views of one memory map: the address of the data tells which frame it is.
    Changed images (faults) have memory of their own and are never remembered.
    """

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self._known: dict[tuple[object, ...], Label] = {}

    def __call__(self, order: WorkOrder) -> Label:
        """The label image of an order; a frame that fusion lacks is replaced by zeros."""
        images = {f.sensor: f.image for f in order.frames}
        key = (order.mode, *(_address(images.get(sensor)) for sensor in order.mode.sensors))
        if None not in key[1:] and key in self._known:
            return self._known[key]
        label = self._segment(order)
        if None not in key[1:] and (len(self._known) + 1) * label.nbytes <= REMEMBERED_BYTES:
            self._known[key] = label
        return label

    def _segment(self, order: WorkOrder) -> Label:
        rgb, depth = order.rgb, order.depth
        color = _pixels(rgb, depth, (3,), np.uint8) if Sensor.RGB in order.mode.sensors else None
        distance = _pixels(depth, rgb, (), np.uint16) if Sensor.DEPTH in order.mode.sensors else None
        unit = depth.metres_per_unit if depth is not None else 0.001
        return self._segmenter.segment(order.mode, color, distance, unit).label


def _pixels(
    frame: Frame | None, other: Frame | None, channels: tuple[int, ...], dtype: type
) -> npt.NDArray[np.generic]:
    if frame is not None:
        return frame.image
    assert other is not None  # an order has at least one frame
    return np.zeros((*other.size, *channels), dtype)


def _address(image: npt.NDArray[np.generic] | None) -> int | None:
    """Where an image of a memory map lies; None for memory that may be used again for something else."""
    if not isinstance(image, np.memmap) or image.filename is None:  # copies keep the type but lose the file
        return None
    return int(image.__array_interface__["data"][0])


def stream_of(modes: frozenset[Mode], config: StreamConfig | None = None) -> RgbdStream:
    """The core as the node configures it, by default where no settings are given."""
    return RgbdStream(config or StreamConfig(), modes)


def policies(play: Play, times: SimulatedTimes, config: StreamConfig | None = None) -> dict[str, Callable[[], Policy]]:
    """Ours, what others do, and what cannot be beaten; `config` holds for the first two, which are our core."""
    modes = play.bundle.modes
    return {
        "ours": lambda: stream_of(modes, config),
        "zero-filled fusion": lambda: AlwaysFusion(stream_of(modes, config)),
        "synchroniser": Synchroniser,
        "perfect switch": lambda: PerfectSwitch(play.scenario, times.transport_ns),
    }


def run_simulated(play: Play, label: Labeller, policy: Policy | None = None) -> Recording:
    """One play in virtual time, by the core where no other policy is given."""
    chosen = policy or stream_of(play.bundle.modes)
    return simulate(play.records(epoch_ns=10**18), chosen, label, play.duration_ns)


def policy_rows(play: Play, label: Labeller, config: StreamConfig | None = None) -> list[dict[str, Any]]:
    """How well each policy labels the play's scene, in virtual time.

    Raises:
        UserError: there is no ground truth in the classes of the bundle.
    """
    truth, truth_set = play.truth(), play.sequence.label_set
    if truth is None or truth_set is None:
        raise UserError(
            f"comparing policies needs ground truth in the bundle's classes, and {play.sequence.name} has none"
        )
    label_set = play.bundle.manifest.label_set
    return [
        policy_row(name, join(run_simulated(play, label, make())), truth, truth_set, label_set)
        for name, make in policies(play, SimulatedTimes(), config).items()
    ]
