"""Chairs, sofas and beds."""

from __future__ import annotations

import math

import numpy as np

from rgbd_seg_ros.scenes.furniture_kit import LABEL, Item, Kit, legs
from rgbd_seg_ros.scenes.parts import Assembly, tilted
from rgbd_seg_ros.scenes.primitives import Shape


def chair(kit: Kit) -> Item:
    """A dining, office or arm chair; the back rest is at y = 0."""
    out, label = Assembly(), LABEL["chair"]
    width, depth, seat = kit.u(0.38, 0.55), kit.u(0.4, 0.55), kit.u(0.4, 0.52)
    frame = kit.wood() if kit.chance(0.6) else kit.palette.metal()
    cover = kit.cloth() if kit.chance(0.6) else frame
    thick = kit.u(0.03, 0.1)
    office = kit.chance(0.3)
    soft = Shape.CUSHION if kit.chance(0.5) else Shape.BOX
    if office:
        _swivel_base(kit, out, depth, seat - thick)
    else:
        legs(kit, out, width, depth, seat - thick, label, frame, kit.u(0.025, 0.06))
    out.add(soft, (0, depth / 2, seat - thick / 2), (width, depth, thick), label, cover)
    _back_rest(kit, out, width, seat, frame, cover, soft)
    if kit.chance(0.35):
        height = seat + kit.u(0.18, 0.25)
        for side in (-1, 1):
            x = side * (width / 2 + 0.02)
            out.add(Shape.BOX, (x, depth / 2, height), (0.05, depth * 0.8, 0.04), label, frame)
            out.add(Shape.BOX, (x, depth * 0.8, (seat + height) / 2), (0.04, 0.04, height - seat + 0.1), label, frame)
    return Item(out, width + 0.1, depth + 0.05, seat + 0.5)


def _swivel_base(kit: Kit, out: Assembly, depth: float, height: float) -> None:
    label, metal = LABEL["chair"], kit.palette.metal()
    out.add(Shape.CYLINDER, (0, depth / 2, height / 2 + 0.03), (0.06, 0.06, height - 0.06), label, metal)
    for i in range(5):
        angle = 2 * math.pi * i / 5
        x, y = 0.14 * math.cos(angle), depth / 2 + 0.14 * math.sin(angle)
        out.add(Shape.BOX, (x, y, 0.06), (0.28, 0.05, 0.04), label, metal, yaw=angle)


def _back_rest(kit: Kit, out: Assembly, width: float, seat: float, frame: int, cover: int, soft: Shape) -> None:
    label = LABEL["chair"]
    height, lean = kit.u(0.35, 0.65), kit.u(0.0, 0.25)
    turn = tilted(x=lean)
    base = -math.sin(lean) * height
    if kit.chance(0.45):
        out.add(
            soft, (0, base / 2, seat + height / 2 + 0.03), (width, kit.u(0.03, 0.1), height), label, cover, tilt=turn
        )
        return
    for side in (-1, 1):
        center = (side * (width / 2 - 0.025), base / 2, seat + height / 2)
        out.add(Shape.BOX, center, (0.045, 0.04, height), label, frame, tilt=turn)
    bars = kit.count(1, 5)
    upright = kit.chance(0.4)
    for i in range(bars):
        t = (i + 1) / (bars + (0 if not upright else 1))
        if upright:
            out.add(
                Shape.BOX,
                ((t - 0.5) * width, base / 2, seat + height / 2),
                (0.03, 0.02, height),
                label,
                frame,
                tilt=turn,
            )
        else:
            out.add(
                Shape.BOX,
                (0, base * t, seat + height * t),
                (width, 0.025, height / bars * 0.5),
                label,
                frame,
                tilt=turn,
            )
    out.add(Shape.BOX, (0, base, seat + height), (width, 0.035, 0.07), label, frame, tilt=turn)


def stool(kit: Kit) -> Item:
    """A backless seat."""
    out, label = Assembly(), LABEL["chair"]
    size, seat = kit.u(0.3, 0.42), kit.u(0.42, 0.75)
    shape = Shape.CYLINDER if kit.chance(0.6) else Shape.CUSHION
    out.add(shape, (0, size / 2, seat), (size, size, kit.u(0.04, 0.12)), label, kit.cloth())
    legs(kit, out, size * 0.9, size, seat, label, kit.wood(), 0.035)
    return Item(out, size, size, seat)


def sofa(kit: Kit) -> Item:
    """A sofa or arm chair of one to four seats, sometimes L-shaped, with pillows."""
    out, label = Assembly(), LABEL["sofa"]
    seats = kit.count(1, 4) if kit.chance(0.8) else 2
    pitch, depth = kit.u(0.55, 0.75), kit.u(0.75, 1.05)
    seat, back, arm = kit.u(0.36, 0.48), kit.u(0.7, 1.0), kit.u(0.08, 0.28)
    arm_height = kit.u(seat + 0.05, seat + 0.28)
    width = seats * pitch + 2 * arm
    body = kit.cloth()
    pad = body if kit.chance(0.8) else kit.cloth()
    soft = Shape.CUSHION if kit.chance(0.75) else Shape.BOX
    foot = kit.u(0.02, 0.14)
    thick = kit.u(0.14, 0.24)
    out.box((-width / 2, 0.02, foot), (width / 2, depth, seat - thick * 0.6), label, body)
    out.add(soft, (0, 0.11, (foot + back) / 2), (width - arm, 0.22, back - foot), label, body)
    for i in range(seats):
        x = (i - (seats - 1) / 2) * pitch
        out.add(soft, (x, 0.18 + (depth - 0.15) / 2, seat - thick / 2), (pitch, depth - 0.15, thick), label, pad)
        lean = tilted(x=kit.u(0.08, 0.25))
        out.add(
            soft, (x, 0.26, (seat + back) / 2 + 0.04), (pitch * 0.97, 0.2, back - seat + 0.05), label, pad, tilt=lean
        )
    for side in (-1, 1):
        center = (side * (width - arm) / 2, depth / 2, (foot + arm_height) / 2)
        out.add(soft, center, (arm * 1.15, depth, arm_height - foot), label, body)
    for _ in range(kit.count(0, 3)):
        x = kit.u(-0.45, 0.45) * (width - 2 * arm)
        _pillow(kit, out, x, 0.42, seat + 0.16, tilted(x=kit.u(0.9, 1.4), z=kit.u(-0.4, 0.4)))
    if seats >= 3 and kit.chance(0.3):
        return _corner(kit, out, width, depth, seat, pitch, body, pad, soft, back)
    return Item(out, width, depth, back)


def _corner(
    kit: Kit, out: Assembly, width: float, depth: float, seat: float, pitch: float, body: int, pad: int,
    soft: Shape, back: float,
) -> Item:  # fmt: skip
    side, length = (-1 if kit.chance(0.5) else 1), kit.u(0.5, 0.9)
    x = side * (width / 2 - pitch / 2)
    label = LABEL["sofa"]
    out.box((x - pitch / 2, depth, 0.06), (x + pitch / 2, depth + length, seat - 0.1), label, body)
    out.add(soft, (x, depth + length / 2 - 0.05, seat - 0.08), (pitch, length + 0.1, 0.18), label, pad)
    return Item(out, width, depth + length, back)


def _pillow(kit: Kit, out: Assembly, x: float, y: float, z: float, turn: np.ndarray) -> None:
    size = kit.u(0.32, 0.5)
    material = kit.palette.cloth(0.4) if kit.chance(0.6) else kit.palette.white_cloth()
    out.add(
        Shape.CUSHION, (x, y, z), (size, size * kit.u(0.7, 1), kit.u(0.1, 0.18)), LABEL["objects"], material, tilt=turn
    )


def bed(kit: Kit) -> Item:
    """A single or double bed, head at y = 0, with mattress, crumpled blanket and pillows."""
    out, label = Assembly(), LABEL["bed"]
    width, length, top = kit.u(0.85, 2.0), kit.u(1.85, 2.15), kit.u(0.4, 0.7)
    frame, sheet = kit.wood(), kit.palette.white_cloth()
    foot = kit.u(0.05, 0.2)
    out.box((-width / 2, 0.05, foot), (width / 2, length, top - 0.2), label, frame)
    out.add(Shape.CUSHION, (0, length / 2 + 0.03, top - 0.12), (width * 0.99, length - 0.04, 0.26), label, sheet)
    if kit.chance(0.8):
        high = top + kit.u(0.2, 0.75)
        shape = Shape.BOX if kit.chance(0.7) else Shape.CUSHION
        out.add(
            shape,
            (0, 0.03, high / 2),
            (width + 0.06, kit.u(0.04, 0.14), high),
            label,
            frame if kit.chance(0.5) else kit.cloth(),
        )
    if kit.chance(0.25):
        out.box((-width / 2, length - 0.05, 0), (width / 2, length, top + kit.u(0.05, 0.3)), label, frame)
    _blanket(kit, out, width, length, top)
    pillows = 1 if width < 1.2 else kit.count(2, 4)
    for i in range(pillows):
        x = ((i % 2) - 0.5) * width * 0.5 if pillows > 1 else kit.u(-0.1, 0.1)
        back = i < 2
        turn = tilted(x=kit.u(0.1, 0.9), z=kit.u(-0.2, 0.2))
        _pillow(kit, out, x, 0.28 if back else 0.55, top + (0.12 if back else 0.1), turn)
    return Item(out, width + 0.06, length, top + 0.4)


def _blanket(kit: Kit, out: Assembly, width: float, length: float, top: float) -> None:
    """A cover that hangs over both sides and the foot end, with folds."""
    if kit.chance(0.15):
        return
    rows, columns = 22, 26
    start = kit.u(0.3, 1.0) * 0.9
    hang = kit.u(0.08, min(0.45, top - 0.08))
    across = np.linspace(-width / 2 - hang, width / 2 + hang, columns)
    along = np.linspace(start, length + hang * kit.u(0, 1), rows)
    x, y = np.meshgrid(across, along)
    over_x = np.maximum(np.abs(x) - width / 2, 0)
    over_y = np.maximum(y - length, 0)
    noise = fold_noise(kit, rows, columns)
    z = top + 0.025 - np.hypot(over_x, over_y) + kit.u(0.01, 0.09) * noise * (over_x + over_y < 0.02)
    bulge = 0.02 + 0.03 * noise
    x = np.clip(x, -width / 2 - bulge, width / 2 + bulge)
    y = np.minimum(y, length + bulge)
    out.sheet(np.stack([x, y, z], -1).astype(np.float32), LABEL["bed"], kit.palette.cloth(0.45))


def fold_noise(kit: Kit, rows: int, columns: int) -> np.ndarray:
    """A piece of smooth noise, rows x columns, 0..1."""
    angle = kit.rng.uniform(0, 2 * np.pi, 12)
    u, v = np.meshgrid(np.arange(columns), np.arange(rows))
    total = np.zeros((rows, columns))
    for i in range(4):
        fu, fv = kit.rng.uniform(-1.1, 1.1, 2)
        total += np.sin(fu * u + fv * v + angle[i]) / (1 + np.hypot(fu, fv))
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)
