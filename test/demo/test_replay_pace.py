"""The pace of a play in lockstep: what is waited for, what is not, and what is said when no answer comes."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.nodes.replay_pace import FAULTED_PATIENCE_S, Lockstep
from rgbd_seg_ros.replay.record import Record


def record(index: int, *faults: str) -> Record:
    one = Record.of_image(Sensor.RGB, index, index * 33_000_000, 10**9 + index, np.zeros((2, 2, 3), np.uint8))
    return replace(one, faults=faults)


def answer(**values: str) -> DiagnosticArray:
    return DiagnosticArray(status=[DiagnosticStatus(values=[KeyValue(key=k, value=v) for k, v in values.items()])])


@pytest.mark.parametrize(
    "values", [{"rgb_stamp_ns": "1000000000"}, {"drops": '[["rgb", 1000000000, "blank"]]', "rgb_stamp_ns": ""}]
)
def test_a_frame_follows_when_its_predecessor_is_labelled_or_dropped(values: dict[str, str]) -> None:
    spins: list[float] = []

    def spin(seconds: float) -> None:
        spins.append(seconds)
        if len(spins) == 3:
            pace.on_status(answer(**values))

    pace = Lockstep(spin, 60.0)
    pace.wait(record(0))
    pace.sent(record(0), time.monotonic_ns())
    pace.wait(record(1))
    assert len(spins) == 3


def test_a_frame_that_is_never_answered_is_named() -> None:
    pace = Lockstep(lambda seconds: time.sleep(0.001), 0.05)
    pace.sent(record(7), time.monotonic_ns())
    with pytest.raises(UserError, match="neither labelled nor dropped rgb frame 7"):
        pace.wait(record(8))


def test_a_faulted_frame_is_not_waited_for_long() -> None:
    pace = Lockstep(lambda seconds: time.sleep(0.001), 3600.0)
    pace.sent(record(7, "blank"), time.monotonic_ns() - round(FAULTED_PATIENCE_S * 2e9))
    pace.wait(record(8))
    assert FAULTED_PATIENCE_S < 1
