"""The node over real DDS: lifecycle, parameters, bundles, QoS, clocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from builtin_interfaces.msg import Time
from node_harness import NODE, PATIENT, NodeProcess, Station, private_ros
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.inference.testing import write_test_bundle
from rgbd_seg_ros.nodes.parameters import SPECS
from rgbd_seg_ros.paths import config_file

pytestmark = pytest.mark.ros
Start = Callable[..., tuple[NodeProcess, Station]]


@pytest.fixture
def start(bundle: Path, tmp_path: Path) -> Iterator[Start]:
    """Starts a node with parameters of its own, and a station, in a domain of their own."""
    with private_ros() as env:
        running: list[tuple[NodeProcess, Station]] = []

        def start_node(
            *arguments: str, reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE, **parameters: Any
        ) -> tuple[NodeProcess, Station]:
            process = NodeProcess(
                env, tmp_path / "node.log", {"bundle": str(bundle), **PATIENT, **parameters}, *arguments
            )
            running.append((process, Station(int(env["ROS_DOMAIN_ID"]), reliability)))
            return running[-1]

        yield start_node
        for process, station in running:
            station.close()
            process.stop()


def test_starts_alone_and_ends_cleanly_on_interrupt(start: Start) -> None:
    process, station = start()
    station.wait_connected()
    station.play(10)
    assert station.state() == "active"
    assert process.stop() == 0, process.log.read_text()
    station.wait("a last status", lambda: station.values()[-1]["mode"] == "none")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_ends_cleanly_on_interrupt_after_its_models_were_unloaded(start: Start, backend: str) -> None:
    pytest.importorskip(backend)
    process, station = start(backend=backend)
    station.wait_connected()
    assert station.change_state("deactivate", "cleanup")
    assert process.stop() == 0, process.log.read_text()


def test_stays_inactive_after_a_manual_deactivate(idle: Station) -> None:
    assert idle.change_state("configure", "activate", "deactivate")
    time.sleep(0.5)
    assert idle.state() == "inactive"


def test_takes_images_only_while_active_and_leaves_nothing_behind(idle: Station) -> None:
    def listens() -> int:
        return idle.node.count_subscribers("rgb/image_raw") + idle.node.count_subscribers("depth/image_raw")

    def publishes() -> int:
        return idle.node.count_publishers(f"{NODE}/label_image")

    assert (listens(), publishes()) == (0, 0)
    assert idle.change_state("configure")
    idle.wait("publishers", lambda: publishes() == 1)
    assert listens() == 0
    assert idle.change_state("activate")
    idle.wait("subscriptions", lambda: listens() == 2)
    assert idle.change_state("deactivate")
    idle.wait("no subscriptions", lambda: listens() == 0)
    assert idle.change_state("cleanup")
    idle.wait("no publishers", lambda: publishes() == 0)


def test_frames_that_wait_at_deactivation_are_reported_as_dropped(station: Station) -> None:
    station.play(10)
    station.forget()
    sent = station.play(10, settle=False)
    assert station.change_state("deactivate")
    station.wait("a last status", lambda: station.values() and station.values()[-1]["mode"] == "none")
    values = station.values()[-1]
    assert values["reason"] == "the node was deactivated"
    assert {s for s in sent if s not in station.covered()} == {(s, stamp) for s, stamp, _ in station.drops()}
    received = int(values["received_rgb"]) + int(values["received_depth"])
    assert received == 20 + len(station.covered()) + int(values["dropped"])


def test_memory_and_threads_stay_flat_over_lifecycle_cycles(running_node: NodeProcess, idle: Station) -> None:
    def cycle() -> None:
        assert idle.change_state("configure", "activate")
        idle.forget()
        idle.play(3, settle=False)
        assert idle.change_state("deactivate", "cleanup")

    for _ in range(3):
        cycle()
    memory, threads = running_node.rss_mib(), running_node.threads()
    for _ in range(8):
        cycle()
    assert running_node.rss_mib() - memory < 8.0
    assert running_node.threads() == threads


def test_refuses_parameters_with_a_reason(idle: Station) -> None:
    refused = {
        "threads": (0, "range"),
        "overlay_opacity": (2.0, "range"),
        "backend": ("abacus", "choose one of"),
        "stamp_source": ("middle", "rgb, depth, later"),
        "stale_periods": (float("nan"), ""),
        "autostart": (True, "read-only"),
        "bundle": (7, "type"),
    }
    for name, (value, phrase) in refused.items():
        accepted, reason = idle.set_parameter(name, value)
        assert not accepted, name
        assert phrase in reason.lower(), (name, reason)
        assert reason
    assert idle.set_parameter("threads", 1) == (True, "")
    assert idle.set_parameter("threads", 2) == (True, "")


def test_refuses_to_change_a_configured_node(idle: Station) -> None:
    assert idle.change_state("configure")
    accepted, reason = idle.set_parameter("queue_size", 2)
    assert not accepted
    assert "clean it up first" in reason


def test_refuses_parameters_that_contradict_each_other(idle: Station) -> None:
    assert idle.set_parameter("restore_pairs", 100)[0]
    try:
        assert not idle.change_state("configure")
        assert "max_restore_pairs" in idle.wait_diagnostic("node", "restore_pairs").message
    finally:
        assert idle.set_parameter("restore_pairs", 5)[0]


def test_a_parameter_refused_at_start_ends_the_node_with_one_sentence(start: Start) -> None:
    process, _ = start(stamp_source="middle")
    assert process.process.wait(20) == 2
    assert "stamp_source is 'middle'; choose one of: rgb, depth, later" in process.log.read_text()


def test_the_parameter_file_documents_every_parameter_with_its_default(idle: Station) -> None:
    text = config_file("segment.yaml").read_text()
    documented = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert documented == {spec.name: spec.default for spec in SPECS}
    declared = idle.parameter_descriptors()
    assert {spec.name for spec in SPECS} <= set(declared)
    for spec in SPECS:
        assert declared[spec.name].description == spec.description
        before = text[: text.index(f"\n    {spec.name}:")]
        assert before.splitlines()[-1].strip().startswith("#"), f"{spec.name} has no comment above it"


@pytest.mark.parametrize(
    ("name", "value", "default", "reason"),
    [
        ("backend_settings", ["openvino.precison=f32"], [""], "no backend setting 'openvino.precison'"),
        ("backend_settings", ["onnxruntime.spin_us=long"], [""], "not a number"),
        ("network_size", "640 by 480", "", "give HEIGHTxWIDTH"),
        ("network_size", "480x640", "", "fixed size 120x160 (HxW)"),
    ],
)
def test_settings_of_the_backend_that_do_not_exist_refuse_the_configure_transition(
    idle: Station, name: str, value: Any, default: Any, reason: str
) -> None:
    assert idle.set_parameter(name, value)[0]
    try:
        assert not idle.change_state("configure")
        assert reason in idle.wait_diagnostic("node", reason).message
    finally:
        assert idle.set_parameter(name, default)[0]


def test_labels_with_settings_of_the_backend(start: Start) -> None:
    _, station = start(backend_settings=["onnxruntime.spin_us=0", "openvino.precision=bf16"])
    station.wait_connected()
    station.play(5)
    assert station.covered()


def test_runs_with_the_shipped_parameter_file(start: Start) -> None:
    _, station = start("--params-file", str(config_file("segment.yaml")))
    station.wait_connected()
    assert station.state() == "active"


def test_refuses_a_damaged_bundle_and_takes_a_sound_one_afterwards(idle: Station, bundle: Path, tmp_path: Path) -> None:
    damaged = write_test_bundle(tmp_path / "damaged").folder
    model = damaged / "rgb.onnx"
    model.write_bytes(model.read_bytes()[:-10])
    assert idle.set_parameter("bundle", str(damaged))[0]
    assert not idle.change_state("configure")
    assert idle.state() == "unconfigured"
    status = idle.wait_diagnostic("node", "rgb.onnx")
    assert status.level == b"\x02"
    assert idle.node.count_publishers(f"{NODE}/label_image") == 0
    assert idle.set_parameter("bundle", str(bundle))[0]
    assert idle.change_state("configure")


def test_a_bundle_without_a_model_for_a_mode_drops_these_frames_and_says_so(
    idle: Station, bundle: Path, tmp_path: Path
) -> None:
    partial = write_test_bundle(tmp_path / "partial", modes=(Mode.FUSION, Mode.RGB)).folder
    assert idle.set_parameter("bundle", str(partial))[0]
    try:
        assert idle.change_state("configure", "activate")
        sent = idle.play(15)
        assert {s for s in sent if s[0] is Sensor.RGB} <= idle.covered()
        idle.forget()
        idle.play(10, [Sensor.DEPTH])
        assert {why for _, _, why in idle.drops()} == {"no_model"}
        assert idle.change_state("deactivate", "cleanup")
    finally:
        assert idle.set_parameter("bundle", str(bundle))[0]


def test_reports_a_publisher_that_its_qos_keeps_from_being_heard(start: Start) -> None:
    _, station = start(
        reliability=ReliabilityPolicy.BEST_EFFORT,
        **{"qos_overrides./depth/image_raw.subscription.reliability": "reliable"},
    )
    station.wait("rgb heard", lambda: station.node.count_subscribers("rgb/image_raw") > 0)
    station.wait_diagnostic("depth", "incompatible QoS (RELIABILITY)")
    station.play(10, settle=False)
    station.wait("rgb labels", lambda: {s for s, _ in station.covered()} == {Sensor.RGB})


def test_diagnostics_count_who_listens_to_the_outputs(station: Station) -> None:
    def listeners() -> list[str | None]:
        status = station.diagnostic("node")
        values = {v.key: v.value for v in status.values} if status is not None else {}
        return [values.get(f"{topic}_subscribers") for topic in ("label_image", "status")]

    station.wait("the station's subscriptions", lambda: listeners() == ["1", "1"])
    second = station.node.create_subscription(Image, f"{NODE}/label_image", lambda _: None, 1)
    station.wait("one more", lambda: listeners() == ["2", "1"])
    station.node.destroy_subscription(second)
    station.wait("one less", lambda: listeners() == ["1", "1"])


def test_works_on_simulated_time_whether_its_clock_is_absent_paused_or_jumps(start: Start) -> None:
    _, station = start(use_sim_time=True)
    station.wait_connected()
    clock = station.node.create_publisher(Clock, "/clock", 10)
    for seconds in (None, 500, 500, 100):
        if seconds is not None:
            clock.publish(Clock(clock=Time(sec=seconds)))
        station.forget()
        sent = station.play(10)
        assert station.covered() == set(sent)
        station.wait_diagnostic("node", "mode none")


def test_an_impossible_qos_override_is_refused_at_activation_and_leaves_nothing(start: Start) -> None:
    process, station = start(**{"qos_overrides./depth/image_raw.subscription.reliability": "perhaps"})
    status = station.wait_diagnostic("node", "perhaps", 10.0)
    assert status.level == b"\x02"
    assert station.state() == "unconfigured"
    assert station.node.count_subscribers("rgb/image_raw") == 0
    assert process.stop() == 0


def test_topics_can_be_remapped(start: Start) -> None:
    _, station = start("-r", "rgb/image_raw:=/front/color", "-r", "__ns:=/robot")
    for topic in ("/front/color", "/robot/depth/image_raw", "/robot/rgb/camera_info"):
        station.wait(topic, lambda topic=topic: station.node.count_subscribers(topic) > 0)


def test_compressed_transports_subscribe_beside_the_raw_topics(start: Start) -> None:
    _, station = start(rgb_transport="compressed", depth_transport="compressedDepth")
    for topic in ("rgb/image_raw/compressed", "depth/image_raw/compressedDepth"):
        station.wait(topic, lambda topic=topic: station.node.count_subscribers(topic) > 0)
