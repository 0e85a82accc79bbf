"""When the process counts as having stood still, and what the node makes of it."""

from __future__ import annotations

import json
import signal
import threading

import pytest
from node_harness import NodeProcess, Station
from sensor_msgs.msg import Image

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.pauses import Pauses
from rgbd_seg_ros.nodes.pulse import GRACE_NS, INTERVAL_NS, LATE_NS, Pulse

MS = 1_000_000


def beating(until_ms: int) -> Pulse:
    pulse = Pulse()
    for moment in range(0, until_ms + 1, 10):
        pulse.beat(moment * MS)
    return pulse


def test_beats_in_time_are_no_pause():
    pulse = beating(100)
    pulse.beat(100 * MS + INTERVAL_NS + LATE_NS)
    assert pulse.take(121 * MS) == []
    assert pulse.pauses == 0


def test_a_late_beat_ends_a_pause_that_is_told_once():
    pulse = beating(100)
    pulse.beat(300 * MS)
    assert pulse.take(301 * MS) == [(100 * MS + INTERVAL_NS, 300 * MS + GRACE_NS)]
    assert pulse.take(302 * MS) == []
    assert (pulse.pauses, pulse.paused_ns) == (1, 190 * MS)


def test_a_pause_is_told_while_it_lasts():
    pulse = beating(100)
    assert pulse.take(200 * MS) == [(110 * MS, 200 * MS + GRACE_NS)]
    assert pulse.take(250 * MS) == [(110 * MS, 250 * MS + GRACE_NS)]


def test_nothing_is_told_before_the_first_beat():
    assert Pulse().take(500 * MS) == []


def test_a_process_that_is_always_late_still_counts_one_interval_of_every_round_as_listening():
    pulse, pauses = Pulse(), Pauses()
    for moment in range(0, 1001, 50):
        pulse.beat(moment * MS)
        for span in pulse.take((moment + 25) * MS):
            pauses.add(*span)
    assert pauses.since_ns(0) <= 0.85 * 1000 * MS


@pytest.mark.ros
def test_a_node_that_stood_still_blames_no_camera(running_node: NodeProcess, station: Station) -> None:
    """Stopped for longer than a stream may be silent (200 ms); what it missed waits in DDS (10 frames, 333 ms)."""
    station.play(20)
    station.assert_settled("fusion")
    station.forget()

    def stop(message: Image, sensor: Sensor, number: int) -> Image:
        if number == 5 and sensor is Sensor.RGB:
            running_node.process.send_signal(signal.SIGSTOP)
            threading.Timer(0.25, running_node.process.send_signal, [signal.SIGCONT]).start()
        return message

    sent = station.play(30, change=stop)
    station.assert_labelled(sent)
    assert set(station.modes()) == {"fusion"}
    assert not [switch for value in station.values() for switch in json.loads(value["switches"])]
    values = {v.key: v.value for v in station.wait_diagnostic("node", "mode").values}
    assert float(values["paused_ms"]) >= 200
