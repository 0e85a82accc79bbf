"""Trained networks to a verified model bundle."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from rgbd_seg_ros.core.frames import Mode
from rgbd_seg_ros.core.label_sets import LabelSet
from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.inference.bundle import MANIFEST_NAME, Bundle, describe_file, load_bundle, new_bundle_folder
from rgbd_seg_ros.inference.manifest import Manifest, ModeEntry, dump_manifest
from rgbd_seg_ros.models.checkpoint import DESCRIPTION_FILE, WEIGHTS_FILE, load_model, save_model
from rgbd_seg_ros.models.network import SegmentationModel
from rgbd_seg_training.export.accept import Demands, accept
from rgbd_seg_training.export.frames import ExportFrame
from rgbd_seg_training.export.graph import LabellingGraph, example_images
from rgbd_seg_training.export.half_weights import keep_weights_half
from rgbd_seg_training.export.onnx_file import to_onnx
from rgbd_seg_training.export.precision import half_graph, quantize
from rgbd_seg_training.export.verify import TorchReference

MIN_AGREEMENT = {"fp32": 0.999, "fp16": 0.99, "int8": 0.95}
"""Share of labels that must agree with torch fp32, by precision; below it the bundle is refused."""

Models = Mapping[str, SegmentationModel | str | os.PathLike[str]]


@dataclass(frozen=True)
class ExportOptions:
    """How a bundle is made.

    Attributes:
        height, width: network input size.
        dynamic: leave the size open (multiples of 32).
        upsampling: `exact` or `fast`, see `LabellingGraph`.
        precision: `fp32`, `fp16` or `int8`.
        frames: images to verify with, and to calibrate int8 with; random patterns are always added.
        patterns: number of random patterns.
        min_agreement: share of labels that must agree with torch; None = `MIN_AGREEMENT` of the precision.
        half_weights: keep the weights of an fp32 bundle as half floats in the files, see `keep_weights_half`.
        checkpoint: put the torch networks into the bundle, so that it can be compared with torch anywhere.
        training: facts about the training, kept in the manifest.
    """

    height: int
    width: int
    dynamic: bool = False
    upsampling: str = "exact"
    precision: str = "fp32"
    frames: Sequence[ExportFrame] = ()
    patterns: int = 4
    min_agreement: float | None = None
    half_weights: bool = False
    checkpoint: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)


def export_bundle(
    models: Models,
    out: str | os.PathLike[str],
    label_set: LabelSet,
    options: ExportOptions,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Bundle:
    """Exports a network per mode, verifies each against torch and writes the bundle.

    Args:
        models: network, or folder of `save_model`, by mode name (`fusion`, `rgb`, `depth`); one is enough.
        out: bundle folder; an existing bundle there is replaced when everything went well, and not touched otherwise.
        label_set: the classes that the networks were trained for.
        options: size, precision and so on.
        name: of the bundle; default: name of the folder.
        report: gets a line of text per finished step.

    Raises:
        UserError: a network does not fit its mode or the label set, cannot be exported, or does not agree with torch.
    """
    networks = {mode: _network(models[mode.value], mode, label_set) for mode in Mode if mode.value in models}
    unknown = set(models) - {mode.value for mode in networks}
    if unknown or not networks:
        raise UserError(f"modes are fusion, rgb and depth, at least one of them; got {', '.join(models) or 'none'}.")
    if options.precision == "int8" and not options.frames:
        raise UserError("int8 needs real frames to calibrate with; name a prepared data set.")
    if options.half_weights and options.precision != "fp32":
        raise UserError(f"half weights are a form of fp32 bundles, not of {options.precision}; choose one of the two.")
    with new_bundle_folder(out) as work:
        modes = {}
        for mode, network in networks.items():
            modes[mode] = _export_mode(mode, network, work, options, report)
        manifest = Manifest(
            name=name or Path(out).name,
            label_set=label_set,
            height=options.height,
            width=options.width,
            dynamic=options.dynamic,
            precision=options.precision,
            upsampling=options.upsampling,
            modes=modes,
            training=options.training,
        )
        (work / MANIFEST_NAME).write_text(dump_manifest(manifest), encoding="utf-8")
        load_bundle(work)
    return load_bundle(out)


def _network(model: SegmentationModel | str | os.PathLike[str], mode: Mode, labels: LabelSet) -> SegmentationModel:
    network = model if isinstance(model, SegmentationModel) else load_model(Path(model))
    wanted = tuple(sensor.value for sensor in mode.sensors)
    if network.spec.inputs != wanted:
        have = " and ".join(network.spec.inputs)
        raise UserError(f"mode {mode.value} needs a network that reads {' and '.join(wanted)}, this one reads {have}.")
    if network.spec.num_classes != len(labels.classes):
        raise UserError(
            f"the {mode.value} network has {network.spec.num_classes} classes, label set {labels.name} "
            f"{len(labels.classes)}; name the label set that it was trained for."
        )
    return network.cpu().float().eval()


def _export_mode(
    mode: Mode, network: SegmentationModel, work: Path, options: ExportOptions, report: Callable[[str], None]
) -> ModeEntry:
    """Writes the ONNX file of a mode (and its checkpoint) into `work`."""
    size = (options.height, options.width)
    graph = LabellingGraph(network, options.upsampling).eval()
    exported = half_graph(graph) if options.precision == "fp16" else graph
    model = to_onnx(exported, *size, dynamic=options.dynamic)
    if options.precision == "int8":
        model = quantize(model, network.spec.inputs, options.frames, size)
    if options.half_weights:
        saved = keep_weights_half(model)
        report(f"{mode.value}: weights kept as half floats, {saved / 1e6:.1f} MB less")
    floor = MIN_AGREEMENT[options.precision] if options.min_agreement is None else options.min_agreement
    openvino = options.precision == "int8"
    demands = Demands(size, floor, options.frames, options.patterns, options.dynamic, openvino)
    facts = accept(mode.value, TorchReference(graph), model, demands, report)
    if options.half_weights:
        facts["half_weights"] = True
    file = f"{mode.value}.onnx"
    (work / file).write_bytes(model.SerializeToString())
    checkpoint: tuple[str, ...] = ()
    if options.checkpoint:
        save_model(network, work / "torch" / mode.value)
        checkpoint = tuple(f"torch/{mode.value}/{part}" for part in (WEIGHTS_FILE, DESCRIPTION_FILE))
    return ModeEntry(
        model=describe_file(work, file),
        inputs=network.spec.inputs,
        checkpoint=tuple(describe_file(work, part) for part in checkpoint),
        architecture=f"{network.spec.architecture}/{network.spec.encoder}",
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        macs=_macs(network, *size),
        verification=facts,
    )


def _macs(network: SegmentationModel, height: int, width: int) -> int:
    """Multiply-accumulate operations of one image."""
    images = dict(zip(network.spec.inputs, example_images(network, height, width), strict=True))
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(**images)
    return int(counter.get_total_flops()) // 2
