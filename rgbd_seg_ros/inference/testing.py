"""A tiny bundle with labels that are known beforehand, for tests and for trying the nodes without a trained model.

Needs the `onnx` package, no torch. The label is a number of two bits: bit 0 says that the red value is 128 or more,
bit 1 that something is nearer than 2 metres. Mode `rgb` knows only bit 0, mode `depth` only bit 1, and the confidence
tells which mode labelled the image, see `TEST_CONFIDENCE`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

import numpy as np

from rgbd_seg_ros.core.frames import Mode, Sensor
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.inference.bundle import Bundle, write_bundle
from rgbd_seg_ros.inference.manifest import Manifest, ModeEntry, ModelFile

TEST_LABEL_SET = LabelSet(
    "test4",
    ("dark_far", "bright_far", "dark_near", "bright_near"),
    ((40, 40, 40), (240, 240, 40), (40, 40, 240), (240, 40, 240)),
)
TEST_CONFIDENCE = {Mode.FUSION: 240, Mode.RGB: 200, Mode.DEPTH: 160}
"""The confidence of every pixel, by mode."""
NEAR_METRES = 2.0
BRIGHT = 128

_OPSET = 18
_SPIN_SIDE = 192  # side of the matrices that a slow graph multiplies to pass the time
_ALL = (Mode.FUSION, Mode.RGB, Mode.DEPTH)


def write_test_bundle(
    folder: str | os.PathLike[str],
    height: int = 120,
    width: int = 160,
    modes: Iterable[Mode] = _ALL,
    delay: float | None = None,
) -> Bundle:
    """Writes the bundle to `folder`.

    Args:
        folder: where to; an existing bundle there is replaced.
        height, width: network size in pixels.
        modes: which models to put in.
        delay: make each run take about this many seconds of processor time, as a large network would.
    """
    entries, files = {}, {}
    rounds = 0 if delay is None else _rounds_for(delay)
    for mode in modes:
        files[mode] = _graph(mode, height, width, rounds)
        inputs = tuple(sensor.value for sensor in mode.sensors)
        entries[mode] = ModeEntry(ModelFile("", "", 0), inputs, architecture="threshold")
    manifest = Manifest(
        "test", TEST_LABEL_SET, height, width, entries, training={"note": "two thresholds, not trained"}
    )
    return write_bundle(folder, manifest, files)


def _graph(mode: Mode, height: int, width: int, rounds: int) -> bytes:
    """The ONNX model of one mode, written in ONNX's own text syntax."""
    from onnx import checker, parser

    plane = f"[1,{height},{width}]"
    inputs, steps, bits = [], [], []
    if Sensor.RGB in mode.sensors:
        inputs.append(f"uint8[1,{height},{width},3] rgb")
        steps.append(
            f"""red_byte = Gather<axis=3>(rgb, first)  red = Cast<to=1>(red_byte)
            bright = Constant<value = float {{{BRIGHT}.0}}>()  is_bright = GreaterOrEqual(red, bright)
            bit0 = Cast<to=6>(is_bright)  any = ReduceMean<keepdims=0>(red)"""
        )
        bits.append("bit0")
    if Sensor.DEPTH in mode.sensors:
        inputs.append(f"float{plane} depth")
        steps.append(
            f"""nothing = Constant<value = float {{0.0}}>()  is_seen = Greater(depth, nothing)
            limit = Constant<value = float {{{NEAR_METRES}}}>()  is_close = Less(depth, limit)
            is_near = And(is_seen, is_close)  near = Cast<to=6>(is_near)  bit1 = Add(near, near)
            {"" if bits else "any = ReduceMean<keepdims=0>(depth)"}"""
        )
        bits.append("bit1")
    steps.append(f"both = {'Add(bit0, bit1)' if len(bits) == 2 else f'Identity({bits[0]})'}  label = Cast<to=2>(both)")
    steps.append(f"none = Mul(both, zero)  level = Constant<value = int32 {{{TEST_CONFIDENCE[mode]}}}>()")
    steps.append("same = Add(none, level)")
    steps.append(_SPIN if rounds else "slow = Identity(same)")
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : {_OPSET}]>
        threshold ({", ".join(inputs)}) => (uint8{plane} label, uint8{plane} confidence)
        <int64 first = {{0}}, int32 zero = {{0}}, int64 rounds = {{{rounds}}}>
        {{ {" ".join(steps)} confidence = Cast<to=2>(slow) }}"""
    )
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


# Multiplies a matrix made from the image with itself, `rounds` times, and adds none of it to the confidence.
_SPIN = f"""
shape = Constant<value = int64[2] {{{_SPIN_SIDE}, {_SPIN_SIDE}}}>()  seed = Expand(any, shape)
go = Constant<value = bool {{1}}>()
spun = Loop(rounds, go, seed) <body = spin (int64 i, bool go_in, float[{_SPIN_SIDE},{_SPIN_SIDE}] m)
    => (bool go_out, float[{_SPIN_SIDE},{_SPIN_SIDE}] m_out) {{
        go_out = Identity(go_in)  product = MatMul(m, m)  m_out = Softmax(product) }}>
total = ReduceMax<keepdims=0>(spun)  low = Constant<value = float {{-1.0}}>()  is_low = Less(total, low)
extra = Cast<to=6>(is_low)  slow = Add(same, extra)
"""


def _rounds_for(delay: float) -> int:
    """How many rounds of `_SPIN` take about `delay` seconds of one core here.

    Processor time, not wall time: on a busy machine the latter made the rounds look dear, and the model far too quick.
    """
    import onnxruntime

    sample = 40
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(_graph(Mode.RGB, 1, 1, sample), settings, providers=["CPUExecutionProvider"])
    best = np.inf
    for _ in range(5):
        started = time.process_time()
        session.run(None, {"rgb": np.zeros((1, 1, 1, 3), np.uint8)})
        best = min(best, time.process_time() - started)
    return max(1, round(delay * sample / best))
