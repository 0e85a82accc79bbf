"""Messages to frames and back, over every encoding."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sensor_msgs.msg import CompressedImage, Image

from rgbd_seg_ros.core.frames import Sensor
from rgbd_seg_ros.nodes.encodings import EMPTY, TRUNCATED, UNDECODABLE, WRONG_ENCODING
from rgbd_seg_ros.nodes.messages import (
    DecodeError,
    byte_array,
    color_array,
    depth_array,
    frame_from_message,
    image_message,
    ns_from_stamp,
    stamp_from_ns,
)

RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8)
GRAY = RNG.integers(0, 256, (6, 8), dtype=np.uint8)


def raw_message(
    rows: np.ndarray, encoding: str, *, height: int = 6, width: int = 8, padding: int = 0, big: bool = False
):
    """An Image whose rows are the bytes of `rows`, each followed by `padding` bytes of noise."""
    lines = np.ascontiguousarray(rows).view(np.uint8).reshape(rows.shape[0], -1)
    padded = np.concatenate([lines, np.full((len(lines), padding), 77, np.uint8)], axis=1)
    message = Image(height=height, width=width, encoding=encoding, step=padded.shape[1], is_bigendian=int(big))
    message.data = byte_array(padded)
    return message


def with_alpha(image: np.ndarray) -> np.ndarray:
    return np.concatenate([image, np.full((*image.shape[:2], 1), 9, image.dtype)], axis=2)


COLOR_WIRES = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "8UC3": RGB[..., ::-1],
    "rgba8": with_alpha(RGB),
    "bgra8": with_alpha(RGB[..., ::-1]),
    "8UC4": with_alpha(RGB[..., ::-1]),
    "rgb16": RGB.astype(np.uint16) << 8,
    "bgr16": RGB[..., ::-1].astype(np.uint16) << 8,
    "16UC3": RGB[..., ::-1].astype(np.uint16) << 8,
    "rgba16": with_alpha(RGB.astype(np.uint16) << 8),
    "bgra16": with_alpha(RGB[..., ::-1].astype(np.uint16) << 8),
    "16UC4": with_alpha(RGB[..., ::-1].astype(np.uint16) << 8),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", COLOR_WIRES)
def test_color_encodings_come_out_as_the_same_rgb_image(encoding: str, padding: int) -> None:
    message = raw_message(COLOR_WIRES[encoding], encoding, padding=padding * COLOR_WIRES[encoding].itemsize)
    np.testing.assert_array_equal(color_array(message), RGB)


@pytest.mark.parametrize("encoding", ["rgb16", "bgra16", "16UC3"])
def test_sixteen_bit_color_is_read_in_either_byte_order(encoding: str) -> None:
    message = raw_message(COLOR_WIRES[encoding].astype(">u2"), encoding, big=True)
    np.testing.assert_array_equal(color_array(message), RGB)


@pytest.mark.parametrize(
    ("encoding", "wire"), [("mono8", GRAY), ("8UC1", GRAY), ("mono16", GRAY.astype(np.uint16) << 8)]
)
def test_gray_images_fill_all_three_channels(encoding: str, wire: np.ndarray) -> None:
    np.testing.assert_array_equal(color_array(raw_message(wire, encoding)), np.repeat(GRAY[..., None], 3, axis=2))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(("pattern", "order"), [("rggb", "RGGB"), ("bggr", "BGGR"), ("gbrg", "GBRG"), ("grbg", "GRBG")])
def test_bayer_patterns_give_back_a_flat_color(pattern: str, order: str, bits: int) -> None:
    value = dict(zip("RGB", (200, 120, 40), strict=True))
    cell = np.array([value[c] for c in order], np.uint16).reshape(2, 2) << (bits - 8)
    mosaic = np.tile(cell, (3, 4)).astype(np.uint8 if bits == 8 else np.uint16)
    decoded = color_array(raw_message(mosaic, f"bayer_{pattern}{bits}"))
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.broadcast_to([200, 120, 40], (2, 4, 3)))


def test_yuv_images_come_out_in_rgb_order() -> None:
    y, u, v = 82, 90, 240  # pure red in the video range that camera drivers send
    wires = {
        "uyvy": np.tile(np.array([u, y, v, y], np.uint8), (6, 4)),
        "yuv422": np.tile(np.array([u, y, v, y], np.uint8), (6, 4)),
        "yuyv": np.tile(np.array([y, u, y, v], np.uint8), (6, 4)),
        "yuv422_yuy2": np.tile(np.array([y, u, y, v], np.uint8), (6, 4)),
        "nv12": np.concatenate([np.full((6, 8), y, np.uint8), np.tile(np.array([u, v], np.uint8), (3, 4))]),
        "nv21": np.concatenate([np.full((6, 8), y, np.uint8), np.tile(np.array([v, u], np.uint8), (3, 4))]),
    }
    for encoding, wire in wires.items():
        decoded = color_array(raw_message(wire, encoding, padding=4)).astype(int)
        assert np.abs(decoded - [255, 0, 0]).max() < 8, encoding


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), padding=st.integers(0, 6), big=st.booleans(),
    encoding=st.sampled_from(["16UC1", "mono16", "32FC1", "64FC1"]),
)  # fmt: skip
def test_depth_survives_any_padding_and_byte_order(
    height: int, width: int, padding: int, big: bool, encoding: str
) -> None:
    kind, unit = {"16UC1": ("u2", 0.001), "mono16": ("u2", 0.001), "32FC1": ("f4", 1.0), "64FC1": ("f8", 1.0)}[encoding]
    values = (np.arange(height * width).reshape(height, width) * 7).astype(kind)
    wire = values.astype(values.dtype.newbyteorder(">" if big else "<"))
    decoded, metres_per_unit = depth_array(
        raw_message(wire, encoding, height=height, width=width, padding=padding, big=big)
    )
    np.testing.assert_array_equal(decoded, values)
    assert metres_per_unit == unit
    assert decoded.dtype == (np.uint16 if kind == "u2" else np.float32)


@pytest.mark.parametrize("encoding", ["rgb8", "16UC1", "32FC1"])
def test_the_common_encodings_are_views_on_the_message(encoding: str) -> None:
    wire = {"rgb8": RGB, "16UC1": GRAY.astype(np.uint16), "32FC1": GRAY.astype(np.float32)}[encoding]
    message = raw_message(wire, encoding)
    decoded = color_array(message) if encoding == "rgb8" else depth_array(message)[0]
    assert np.shares_memory(decoded, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"height": 0}, EMPTY),
        ({"width": 0}, EMPTY),
        ({"data": b""}, EMPTY),
        ({"height": 7}, TRUNCATED),
        ({"width": 9}, TRUNCATED),
        ({"step": 3}, TRUNCATED),
        ({"encoding": "32FC1"}, WRONG_ENCODING),
        ({"encoding": "16UC1"}, WRONG_ENCODING),
        ({"encoding": ""}, WRONG_ENCODING),
        ({"encoding": "uyvy", "width": 7}, UNDECODABLE),
        ({"encoding": "nv12", "height": 3}, UNDECODABLE),
    ],
)
def test_bad_color_messages_are_refused_with_a_reason(changes: dict, reason: str) -> None:
    message = raw_message(RGB, "rgb8")
    for name, value in changes.items():
        setattr(message, name, value)
    with pytest.raises(DecodeError) as caught:
        color_array(message)
    assert caught.value.reason == reason


@pytest.mark.parametrize("encoding", ["rgb8", "8UC1", "bgr8", "nonsense"])
def test_color_on_the_depth_topic_is_refused(encoding: str) -> None:
    with pytest.raises(DecodeError) as caught:
        depth_array(raw_message(RGB, encoding))
    assert caught.value.reason == WRONG_ENCODING


def decodes_or_says_why(decode, message) -> None:
    try:
        decode(message)
    except DecodeError as error:
        assert error.detail


@given(
    height=st.integers(0, 2**32 - 1), width=st.integers(0, 2**32 - 1), step=st.integers(0, 2**32 - 1),
    encoding=st.sampled_from(["rgb8", "bgr8", "mono8", "bayer_rggb8", "nv12", "uyvy", "16UC1", "32FC1", "64FC1", "x"]),
    size=st.integers(0, 200), big=st.booleans(),
)  # fmt: skip
def test_no_header_however_wrong_raises_anything_but_a_decode_error(
    height: int, width: int, step: int, encoding: str, size: int, big: bool
) -> None:
    message = Image(height=height, width=width, step=step, encoding=encoding, is_bigendian=int(big))
    message.data = byte_array(np.zeros(size, np.uint8))
    decodes_or_says_why(color_array, message)
    decodes_or_says_why(depth_array, message)


def compressed(data: bytes, form: str) -> CompressedImage:
    return CompressedImage(format=form, data=data)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def test_compressed_color_is_decoded_to_rgb() -> None:
    np.testing.assert_array_equal(color_array(compressed(png(RGB[..., ::-1]), "rgb8; png compressed bgr8")), RGB)


DEPTH = np.where(GRAY < 60, 0, GRAY.astype(np.uint16) * 30).astype(np.uint16)


def rvl(values: np.ndarray) -> bytes:
    """The RVL encoder, written from the paper for the test: number by number."""
    nibbles: list[int] = []

    def put(number: int) -> None:
        while True:
            low, number = number & 7, number >> 3
            nibbles.append(low | (8 if number else 0))
            if not number:
                return

    flat, position, previous = values.ravel().astype(int).tolist(), 0, 0
    while position < len(flat):
        zeros = position
        while zeros < len(flat) and flat[zeros] == 0:
            zeros += 1
        end = zeros
        while end < len(flat) and flat[end] != 0:
            end += 1
        put(zeros - position)
        put(end - zeros)
        for value in flat[zeros:end]:
            delta, previous = value - previous, value
            put((delta << 1) ^ (delta >> 31))
        position = end
    nibbles += [0] * (-len(nibbles) % 8)
    words = [int("".join(f"{n:x}" for n in nibbles[i : i + 8]), 16) for i in range(0, len(nibbles), 8)]
    return struct.pack("<II", values.shape[1], values.shape[0]) + struct.pack(f"<{len(words)}I", *words)


@pytest.mark.parametrize("codec", ["", " png", " rvl"])
def test_compressed_depth_keeps_every_millimetre(codec: str) -> None:
    payload = rvl(DEPTH) if codec == " rvl" else png(DEPTH)
    message = compressed(struct.pack("<iff", 0, 0.0, 0.0) + payload, f"16UC1; compressedDepth{codec}")
    decoded, unit = depth_array(message)
    np.testing.assert_array_equal(decoded, DEPTH)
    assert (decoded.dtype, unit) == (np.uint16, 0.001)


@given(st.lists(st.one_of(st.just(0), st.integers(0, 65535)), min_size=1, max_size=60))
def test_rvl_gives_back_any_row_of_depths(row: list[int]) -> None:
    values = np.array([row], np.uint16)
    message = compressed(bytes(12) + rvl(values), "16UC1; compressedDepth rvl")
    np.testing.assert_array_equal(depth_array(message)[0], values)


def test_quantised_float_depth_comes_back_in_metres() -> None:
    metres = np.where(DEPTH > 0, DEPTH / 1000.0, 0.0).astype(np.float32)
    quant_a = 100.0 * 101.0
    quant_b = 1.0 - quant_a / 10.0
    levels = np.zeros(metres.shape, np.uint16)
    seen = metres > 0
    levels[seen] = np.round(quant_a / metres[seen] + quant_b)
    message = compressed(struct.pack("<iff", 0, quant_a, quant_b) + png(levels), "32FC1; compressedDepth png")
    decoded, unit = depth_array(message)
    assert (decoded.dtype, unit) == (np.float32, 1.0)
    np.testing.assert_allclose(decoded, metres, rtol=2e-3)
    assert (decoded[~seen] == 0).all()


@pytest.mark.parametrize(
    ("data", "form", "reason"),
    [
        (b"", "16UC1; png", EMPTY),
        (b"\x00" * 12, "16UC1; compressedDepth png", TRUNCATED),
        (b"\x00" * 40, "16UC1; compressedDepth png", UNDECODABLE),
        (b"\x00" * 15, "16UC1; compressedDepth rvl", TRUNCATED),
        (bytes(12) + struct.pack("<IIi", 2**31, 4, 1), "16UC1; compressedDepth rvl", UNDECODABLE),
        (bytes(12) + struct.pack("<IIi", 40, 40, 1), "16UC1; compressedDepth rvl", TRUNCATED),
        (png(RGB), "16UC1; png", WRONG_ENCODING),
        (png(DEPTH), "rgb8; jpeg compressed bgr8", WRONG_ENCODING),
    ],
)
def test_bad_compressed_depth_is_refused_with_a_reason(data: bytes, form: str, reason: str) -> None:
    with pytest.raises(DecodeError) as caught:
        depth_array(compressed(data, form))
    assert caught.value.reason == reason


def test_truncated_compressed_color_is_refused() -> None:
    with pytest.raises(DecodeError):
        color_array(compressed(png(RGB)[:20], "rgb8; png"))


@given(st.binary(max_size=80), st.sampled_from(["compressedDepth rvl", "compressedDepth png", "png"]))
def test_damaged_compressed_payloads_never_raise_anything_but_a_decode_error(data: bytes, codec: str) -> None:
    decodes_or_says_why(depth_array, compressed(data, f"16UC1; {codec}"))


@given(st.integers(-(2**31) * 10**9, (2**31 - 1) * 10**9))
def test_stamps_survive_the_round_trip(stamp_ns: int) -> None:
    assert ns_from_stamp(stamp_from_ns(stamp_ns)) == stamp_ns


def test_a_frame_carries_stamp_frame_and_scale_of_its_message() -> None:
    message = image_message(DEPTH, "16UC1", 12_000_000_345, "optical")
    frame = frame_from_message(message, Sensor.DEPTH, arrival_ns=7)
    assert (frame.stamp_ns, frame.frame_id, frame.arrival_ns, frame.metres_per_unit) == (
        12_000_000_345,
        "optical",
        7,
        0.001,
    )
    np.testing.assert_array_equal(frame.image, DEPTH)


def test_a_stamp_that_no_output_could_carry_is_refused() -> None:
    message = raw_message(RGB, "rgb8")
    message.header.stamp.sec, message.header.stamp.nanosec = 2**31 - 1, 999_999_999
    assert frame_from_message(message, Sensor.RGB, 0).stamp_ns == 2**31 * 10**9 - 1
    message.header.stamp.nanosec = 1_000_000_000
    with pytest.raises(DecodeError, match="stamp"):
        frame_from_message(message, Sensor.RGB, 0)
