"""A finished bundle with the class choice of today: its trained graphs up to the scores, and what follows them anew."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import MANIFEST_NAME, Bundle, describe_file, load_bundle, new_bundle_folder
from rgbd_seg_ros.inference.manifest import dump_manifest
from rgbd_seg_training.export.frames import ExportFrame, pattern_frames
from rgbd_seg_training.export.graph import choose_class, interpolation_groups
from rgbd_seg_training.export.onnx_file import OUTPUTS, quiet, strip

MIN_AGREEMENT = 0.999
_PATTERNS = 4


class _Tail(nn.Module):
    """Scores of the network to labels and confidence at image size."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, coarse: Tensor) -> tuple[Tensor, Tensor]:
        groups = interpolation_groups(coarse)
        return choose_class(*(F.interpolate(g, self.size, mode="bilinear", align_corners=False) for g in groups))


def renew_bundle(
    bundle: Bundle,
    out: str | os.PathLike[str],
    frames: Sequence[ExportFrame] = (),
    report: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Writes `bundle` with a new class choice to `out`; weights and everything before the scores stay as they are.

    Every new file is compared with the old one in ONNX Runtime on `frames` and on random patterns; the manifest says
    how far they agree, and keeps the comparison with torch that was made when the network was exported.

    Raises:
        UserError: the bundle is not fp32 with fixed size and exact up-sampling, holds checkpoints (export those again
            instead), or the labels of a new file agree with those of the old one on less than 99.9 % of the pixels.
    """
    manifest = bundle.manifest
    if manifest.dynamic or manifest.precision != "fp32" or manifest.upsampling != "exact":
        raise UserError(f"bundle {bundle.folder} is not fp32 with fixed size and exact up-sampling; export it again.")
    if any(entry.checkpoint for entry in manifest.modes.values()):
        raise UserError(f"bundle {bundle.folder} holds its torch networks; export them again instead.")
    size = (manifest.height, manifest.width)
    with new_bundle_folder(out) as work:
        modes = {}
        for mode, entry in manifest.modes.items():
            before = bundle.model_bytes(mode)
            after = _renewed(before, mode.value, size)
            share = _agreement(before, after, entry.inputs, [*frames, *pattern_frames(_PATTERNS, *size)], size)
            report(f"{mode.value}: {100 * share:.4f} % of labels as before")
            if not share >= MIN_AGREEMENT:
                raise UserError(f"the new {mode.value} model is refused: {100 * share:.2f} % of labels are as before.")
            (work / entry.model.file).write_bytes(after)
            renewed = {"agreement_with_before": share, "frames": len(frames) + _PATTERNS, "before": entry.model.sha256}
            facts = {**entry.verification, "class_choice_renewed": renewed}
            modes[mode] = dataclasses.replace(entry, model=describe_file(work, entry.model.file), verification=facts)
        text = dump_manifest(dataclasses.replace(manifest, modes=modes))
        (work / MANIFEST_NAME).write_text(text, encoding="utf-8")
        load_bundle(work)
    return load_bundle(out)


def _renewed(data: bytes, mode: str, size: tuple[int, int]) -> bytes:
    import onnx
    from onnx import compose

    model = onnx.load_model_from_string(data)
    resizes = [node for node in model.graph.node if node.op_type == "Resize"]
    if not resizes:
        raise UserError(f"the {mode} model has no up-sampling to renew; export it again.")
    source = resizes[-1].input[0]
    inputs = [value.name for value in model.graph.input]
    head = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(model)).extract_model(inputs, [source])
    dims = head.graph.output[0].type.tensor_type.shape.dim
    tail = compose.add_prefix(_tail(tuple(dim.dim_value for dim in dims), size), "choice/")
    merged = compose.merge_models(head, _same_versions(tail, head), io_map=[(source, "choice/coarse")])
    _rename_outputs(merged, {f"choice/{name}": name for name in OUTPUTS})
    # The merge lists the operators of both parts, which tools that look for one version refuse.
    del merged.opset_import[:]
    merged.opset_import.extend(head.opset_import)
    merged.graph.name = model.graph.name
    del merged.graph.value_info[:]
    strip(merged.graph)
    merged.producer_name, merged.producer_version = model.producer_name, model.producer_version
    onnx.checker.check_model(merged, full_check=True)
    content: bytes = merged.SerializeToString()
    return content


def _tail(shape: tuple[int, ...], size: tuple[int, int]) -> Any:
    with quiet(), torch.inference_mode():
        program = torch.onnx.export(
            _Tail(size),
            (torch.zeros(shape),),
            dynamo=True,
            optimize=True,
            input_names=["coarse"],
            output_names=list(OUTPUTS),
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def _same_versions(tail: Any, head: Any) -> Any:
    """`tail` with the format version of `head`; both must use the same operators."""
    versions = [{entry.domain: entry.version for entry in part.opset_import}.get("") for part in (tail, head)]
    if versions[0] != versions[1]:
        raise UserError(
            f"the bundle uses ONNX operators {versions[1]}, this torch writes {versions[0]}; export it again."
        )
    tail.ir_version = head.ir_version
    return tail


def _rename_outputs(model: Any, names: dict[str, str]) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            node.output[index] = names.get(name, name)
    for value in model.graph.output:
        value.name = names.get(value.name, value.name)


def _agreement(
    before: bytes, after: bytes, names: Sequence[str], frames: Sequence[ExportFrame], size: tuple[int, int]
) -> float:
    """Share of pixels with the same label in both models."""
    import onnxruntime

    sessions = [onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]) for data in (before, after)]
    shares = []
    for frame in frames:
        old, new = (session.run(["label"], frame.inputs(names, *size))[0] for session in sessions)
        shares.append(np.mean(old == new))
    return float(np.mean(shares))
