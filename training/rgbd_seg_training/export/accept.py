"""A new model file is taken into a bundle only when its labels are those of its reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.manifest import DYNAMIC_STEP
from rgbd_seg_training.export.frames import ExportFrame, pattern_frames
from rgbd_seg_training.export.verify import Reference, Verification, agreement_in_openvino, verify

REAL_ELSEWHERE = 16
"""Real frames compared at the second size; patterns alone are too unlike the images that 8 bits are made for."""


@dataclass(frozen=True)
class Demands:
    """What a file has to stand.

    Attributes:
        size: network size, height and width.
        floor: share of labels that must agree with the reference.
        frames: real images to compare on.
        patterns: number of random patterns to compare on beside them.
        dynamic: compare at a second size too.
        openvino: compare in OpenVINO too, which takes 8-bit models no other way.
    """

    size: tuple[int, int]
    floor: float
    frames: Sequence[ExportFrame] = ()
    patterns: int = 4
    dynamic: bool = False
    openvino: bool = False


def accept(
    mode: str, reference: Reference, model: Any, demands: Demands, report: Callable[[str], None]
) -> dict[str, Any]:
    """Compares `model` (`onnx.ModelProto`) with `reference` and gives the facts for the manifest.

    Raises:
        UserError: the share of labels that agree is below the floor, in ONNX Runtime, at one of the sizes.
    """
    size = demands.size
    frames = [*demands.frames, *pattern_frames(demands.patterns, *size)]
    verification = verify(reference, model, frames, size)
    if demands.openvino:
        try:
            agreement = agreement_in_openvino(reference, model, frames, size)
            verification = dataclasses.replace(verification, openvino_agreement=agreement)
        except (ImportError, RuntimeError) as error:
            report(f"{mode}: not verified in OpenVINO, which will not take it ({error})")
    report(f"{mode}: {verification}")
    _check(verification, mode, demands.floor)
    facts = {**verification.facts(), "real_frames": len(demands.frames), "min_agreement": demands.floor}
    if demands.dynamic:
        other = (size[0] + DYNAMIC_STEP, size[1] + 2 * DYNAMIC_STEP)
        frames = [*demands.frames[:REAL_ELSEWHERE], *pattern_frames(max(1, demands.patterns), *other)]
        elsewhere = verify(reference, model, frames, other)
        report(f"{mode} at {other[0]}x{other[1]}: {elsewhere}")
        _check(elsewhere, f"{mode} (at {other[0]}x{other[1]})", demands.floor)
        facts["agreement_at_other_size"] = elsewhere.agreement
    return facts


def _check(verification: Verification, mode: str, floor: float) -> None:
    if not verification.agreement >= floor:
        raise UserError(
            f"the exported {mode} model is refused: {100 * verification.agreement:.2f} % of its labels agree with "
            f"{verification.reference} and {100 * floor:g} % are needed; choose a higher precision or other frames to "
            "calibrate with."
        )
