"""A finished bundle in 8 bits, without its torch networks."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import MANIFEST_NAME, Bundle, describe_file, load_bundle, new_bundle_folder
from rgbd_seg_ros.inference.manifest import dump_manifest
from rgbd_seg_training.export.accept import Demands, accept
from rgbd_seg_training.export.export_bundle import MIN_AGREEMENT
from rgbd_seg_training.export.frames import ExportFrame
from rgbd_seg_training.export.precision import quantize
from rgbd_seg_training.export.verify import FileReference


def quantize_bundle(
    bundle: Bundle,
    out: str | os.PathLike[str],
    calibration: Sequence[ExportFrame],
    frames: Sequence[ExportFrame] = (),
    *,
    patterns: int = 4,
    min_agreement: float | None = None,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Writes `bundle` with 8-bit models to `out`; `precision.quantize` says what is 8-bit in them.

    Args:
        bundle: fp32, with or without half weights, of fixed or open size (calibrated at its default size).
        out: bundle folder; a bundle there is replaced when everything went well, and not touched otherwise.
        calibration: real images, like those of use, that give the ranges of the activations.
        frames: other real images; each model is compared with its fp32 file on them and on random patterns.
        patterns: number of those.
        min_agreement: share of labels that must be as before; None = `MIN_AGREEMENT` of int8.
        name: of the new bundle; default: name of the folder.
        report: gets a line of text per finished step.

    Raises:
        UserError: the bundle is not fp32 or holds its torch networks (export those in 8 bits instead), there is nothing
            to calibrate with, or too many labels of a model change.
    """
    manifest = bundle.manifest
    if manifest.precision != "fp32":
        raise UserError(f"bundle {bundle.folder} is {manifest.precision} already; quantise the fp32 bundle.")
    if any(entry.checkpoint for entry in manifest.modes.values()):
        raise UserError(
            f"bundle {bundle.folder} holds its torch networks; export them with --precision int8 instead (its folder "
            "torch has them)."
        )
    if not calibration:
        raise UserError("int8 needs real frames to calibrate with; name a prepared data set.")
    import onnx

    size = (manifest.height, manifest.width)
    floor = MIN_AGREEMENT["int8"] if min_agreement is None else min_agreement
    demands = Demands(size, floor, frames, patterns, manifest.dynamic, openvino=True)
    with new_bundle_folder(out) as work:
        modes = {}
        for mode, entry in manifest.modes.items():
            before = onnx.load_model_from_string(bundle.model_bytes(mode))
            model = quantize(before, entry.inputs, calibration, size)
            reference = FileReference("the fp32 file", before, entry.inputs, len(manifest.label_set.classes))
            facts = accept(mode.value, reference, model, demands, report)
            facts |= {"calibration_frames": len(calibration), "fp32_sha256": entry.model.sha256}
            (work / entry.model.file).write_bytes(model.SerializeToString())
            described = describe_file(work, entry.model.file)
            modes[mode] = dataclasses.replace(entry, model=described, verification=facts)
        name = name or Path(out).name
        new = dataclasses.replace(manifest, name=name, precision="int8", created="", modes=modes)
        (work / MANIFEST_NAME).write_text(dump_manifest(new), encoding="utf-8")
        load_bundle(work)
    return load_bundle(out)
