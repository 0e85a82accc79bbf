"""Every parameter of the segmenter node: name, default, range, meaning, and the settings made of them.

Importing it needs no ROS: plays in virtual time set the core by the same parameters (`core_settings`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.core.health import HealthConfig
from rgbd_seg_ros.core.modes import ModeConfig
from rgbd_seg_ros.core.stream import StreamConfig
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.backends.registry import backend_names, parse_settings

if TYPE_CHECKING:
    from rcl_interfaces.msg import ParameterDescriptor
    from rclpy.node import Node
    from rclpy.parameter import Parameter

AUTOMATIC = -1.0
"""Value of the pairing parameters that means: half a frame period."""


@dataclass(frozen=True, slots=True)
class ParameterSpec:
    """One parameter.

    Attributes:
        name, default, description: as ROS shows them; the type is that of the default.
        low, high: range of a number, both included.
        choices: allowed texts; empty allows any.
        read_only: fixed once the node has started (the others may be set while the node is unconfigured).
    """

    name: str
    default: Any
    description: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    def descriptor(self) -> ParameterDescriptor:
        """The ROS descriptor: description, range, constraints, read-only flag."""
        from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

        message = ParameterDescriptor(description=self.description, read_only=self.read_only)
        if self.choices:
            message.additional_constraints = f"one of: {', '.join(self.choices)}"
        if self.low is not None and self.high is not None:
            if isinstance(self.default, int):
                message.integer_range = [IntegerRange(from_value=int(self.low), to_value=int(self.high), step=0)]
            else:
                limits = FloatingPointRange(from_value=float(self.low), to_value=float(self.high), step=0.0)
                message.floating_point_range = [limits]
        return message

    def refusal(self, value: Any) -> str:
        """Why `value` is refused beyond type and range, which ROS checks itself; empty when it is fine."""
        if self.choices and value not in self.choices:
            return f"{self.name} is '{value}'; choose one of: {', '.join(self.choices)}"
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name} is {value}; give a finite number"
        return ""


_RATE = "frames per second of a healthy stream; 0 learns it"
SPECS: tuple[ParameterSpec, ...] = (
    ParameterSpec(
        "autostart", True, "configure and activate once at start; false under a lifecycle manager", read_only=True
    ),
    ParameterSpec("bundle", "", "folder of the model bundle; empty is the one shipped with the package"),
    ParameterSpec(
        "backend", "auto", "inference runtime; auto takes the best usable one", choices=("auto", *backend_names())
    ),
    ParameterSpec("threads", 2, "CPU threads of the inference runtime and of OpenCV", 1, 64),
    ParameterSpec("preload", True, "keep the models of all modes in memory, so that a switch costs nothing"),
    ParameterSpec("network_size", "", "HEIGHTxWIDTH of the network input, for bundles with dynamic size"),
    ParameterSpec("backend_settings", [""], "settings of single backends, each backend.setting=value"),
    ParameterSpec("rgb_transport", "raw", "image transport of the colour stream", choices=("raw", "compressed")),
    ParameterSpec(
        "depth_transport",
        "raw",
        "image transport of the depth stream",
        choices=("raw", "compressedDepth", "compressed"),
    ),
    ParameterSpec(
        "stamp_source",
        "rgb",
        "whose stamp and frame a label image of a pair carries",
        choices=("rgb", "depth", "later"),
    ),
    ParameterSpec("overlay_opacity", 0.5, "weight of the class colours in ~/overlay", 0.0, 1.0),
    ParameterSpec("rgb_expected_rate_hz", 0.0, f"colour: {_RATE}", 0.0, 1000.0),
    ParameterSpec("depth_expected_rate_hz", 0.0, f"depth: {_RATE}", 0.0, 1000.0),
    ParameterSpec("stale_periods", 3.0, "frame periods of silence after which a stream counts as dead", 1.5, 1000.0),
    ParameterSpec("frozen_frames", 5, "repeats of the same content that count as frozen; 0 turns it off", 0, 10000),
    ParameterSpec("min_valid_depth", 0.01, "share of valid pixels under which a depth image is blank", 0.0, 1.0),
    ParameterSpec(
        "pairing_tolerance_ms", AUTOMATIC, "largest stamp difference in a pair; -1 is half a period", -1.0, 10000.0
    ),
    ParameterSpec(
        "pairing_timeout_ms", AUTOMATIC, "how long a frame waits for its partner; -1 is half a period", -1.0, 10000.0
    ),
    ParameterSpec("restore_pairs", 5, "good pairs in a row after which fusion is restored", 1, 10000),
    ParameterSpec("max_restore_pairs", 60, "bound of that number while a stream comes and goes", 1, 10000),
    ParameterSpec("stable_s", 1.5, "seconds of fusion after which that number is back at restore_pairs", 0.0, 3600.0),
    ParameterSpec("preferred", "rgb", "model used until fusion is restored", choices=("rgb", "depth")),
    ParameterSpec("queue_size", 4, "frames or pairs that may wait for inference; the oldest is dropped", 1, 100),
    ParameterSpec("max_queue_age_ms", 150.0, "age over which a queued frame is dropped for a newer one", 1.0, 10000.0),
    ParameterSpec("max_errors", 5, "failed inferences in a row that trigger a reload, then the error state", 1, 1000),
)


CORE = (
    "rgb_expected_rate_hz", "depth_expected_rate_hz", "stale_periods", "frozen_frames", "min_valid_depth",
    "pairing_tolerance_ms", "pairing_timeout_ms", "restore_pairs", "max_restore_pairs", "stable_s", "preferred",
)  # fmt: skip
"""The parameters of `StreamConfig`: those that mean something without ROS, queue and inference runtime."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """The parameters of the node as it was configured."""

    bundle: str
    backend: str
    threads: int
    preload: bool
    network_size: tuple[int, int] | None
    backend_settings: dict[str, Any]
    transports: dict[Sensor, str]
    stamp_source: str
    overlay_opacity: float
    queue_size: int
    max_queue_age_ns: int
    max_errors: int
    stream: StreamConfig = field(default_factory=StreamConfig)


def declare(node: Node) -> None:
    """Declare every parameter; values given at start that are out of range raise an rclpy exception."""
    for spec in SPECS:
        node.declare_parameter(spec.name, spec.default, spec.descriptor())


def refusal(parameters: Iterable[Parameter], state: str) -> str:
    """Why a change is refused, as one sentence; empty when it is accepted.

    Args:
        parameters: the requested values.
        state: label of the lifecycle state.
    """
    specs = {spec.name: spec for spec in SPECS}
    for parameter in parameters:
        spec = specs.get(parameter.name)
        if spec is None:
            continue
        if state != "unconfigured":
            return f"{parameter.name} takes effect when the node is configured; clean it up first (it is {state})"
        why = spec.refusal(parameter.value)
        if why:
            return why
    return ""


def read(node: Node) -> NodeSettings:
    """The settings that the node's parameters describe.

    Raises:
        UserError: two parameters contradict each other, or a size or backend setting cannot be read.
    """

    def get(name: str) -> Any:
        return node.get_parameter(name).value

    return NodeSettings(
        bundle=get("bundle"),
        backend=get("backend"),
        threads=get("threads"),
        preload=get("preload"),
        network_size=_size(get("network_size")),
        backend_settings=parse_settings([text for text in get("backend_settings") if text.strip()]),
        transports={sensor: get(f"{sensor.value}_transport") for sensor in Sensor},
        stamp_source=get("stamp_source"),
        overlay_opacity=get("overlay_opacity"),
        queue_size=get("queue_size"),
        max_queue_age_ns=int(get("max_queue_age_ms") * 1e6),
        max_errors=get("max_errors"),
        stream=_stream_config(get),
    )


def core_settings(given: Mapping[str, str]) -> StreamConfig:
    """The settings of the core that parameters given as text describe; those that are not given have their defaults.

    Raises:
        UserError: a name is none of `CORE`, or a value is not of its type or out of its range.
    """
    specs = {spec.name: spec for spec in SPECS if spec.name in CORE}
    unknown = sorted(set(given) - set(specs))
    if unknown:
        raise UserError(f"{', '.join(unknown)} cannot be set without ROS, only these can: {', '.join(CORE)}")
    values = {name: _parsed(spec, given[name]) if name in given else spec.default for name, spec in specs.items()}
    return _stream_config(values.__getitem__)


def _parsed(spec: ParameterSpec, text: str) -> Any:
    """The value of a text, read as YAML as ROS does."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if isinstance(spec.default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not type(spec.default):
        raise UserError(f"{spec.name} is '{text}'; give a value like {spec.default}")
    why = spec.refusal(value)
    if not why and spec.low is not None and spec.high is not None and not spec.low <= value <= spec.high:
        why = f"{spec.name} is {value}; give {spec.low:g} to {spec.high:g}"
    if why:
        raise UserError(why)
    return value


def _stream_config(get: Callable[[str], Any]) -> StreamConfig:
    if get("max_restore_pairs") < get("restore_pairs"):
        raise UserError(
            f"max_restore_pairs is {get('max_restore_pairs')}, below restore_pairs ({get('restore_pairs')}): raise it."
        )
    health = {
        sensor: HealthConfig(
            expected_rate_hz=get(f"{sensor.value}_expected_rate_hz") or None,
            stale_periods=get("stale_periods"),
            frozen_frames=get("frozen_frames"),
            min_valid_depth=get("min_valid_depth"),
        )
        for sensor in Sensor
    }
    mode = ModeConfig(
        restore_pairs=get("restore_pairs"),
        max_restore_pairs=get("max_restore_pairs"),
        stable_ns=int(get("stable_s") * 1e9),
        preferred=Sensor(get("preferred")),
    )
    return StreamConfig(health, mode, _ns_or_none(get("pairing_tolerance_ms")), _ns_or_none(get("pairing_timeout_ms")))


def _size(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise UserError(f"network_size is '{text}'; give HEIGHTxWIDTH, e.g. 480x640, or nothing.")
    return int(match[1]), int(match[2])


def _ns_or_none(milliseconds: float) -> int | None:
    return None if milliseconds < 0 else int(milliseconds * 1e6)
