"""Checkpoints that the authors of CMX, PrimKD and SegFormer published."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import DepthEncoding, ModelSpec, build_model, save_model
from rgbd_seg_ros.models.mit import MIT_SIZES
from rgbd_seg_ros.models.spec import IMAGENET_MEAN, IMAGENET_STD
from rgbd_seg_ros.models.weight_files import read_state

_TRAINING_ONLY = ("align_loss", "conv_loss")
_DUAL = (
    ("backbone.extra_", "encoders.depth."),
    ("backbone.FRMs.", "FRMs."),
    ("backbone.FFMs.", "FFMs."),
    ("backbone.", "encoders.rgb."),
    ("decode_head.", "decoder."),
)
_SINGLE = (("backbone.", "encoder."), ("decode_head.", "decoder."))
_MMSEG = (
    ("decode_head.linear_fuse.conv.", "decode_head.linear_fuse.0."),
    ("decode_head.linear_fuse.bn.", "decode_head.linear_fuse.1."),
)
_STEM = "patch_embed1.proj.weight"


@dataclass(frozen=True)
class ImportReport:
    """What became of a checkpoint.

    Attributes:
        spec: the network that it holds.
        loaded: number of tensors that were taken over.
        dropped: keys that were left out: aligners, and parts that inference never runs.
    """

    spec: ModelSpec
    loaded: int
    dropped: tuple[str, ...]


def import_published(
    checkpoint: Path, out: Path, modality: str = "rgb", order: str = "auto", label_set: str = ""
) -> ImportReport:
    """Write the network of a published checkpoint into the model folder `out`.

    The public loaders feed blue-green-red images, normalised with the means of red-green-blue. The network that is
    written takes RGB: its first convolutions are reversed along the channels, and so are means and deviations.

    Args:
        checkpoint: the `.pth` file.
        out: model folder.
        modality: `rgb` or `depth` (HHA): what a single-stream network reads; ignored for CMX.
        order: channel order that the file was trained with, `bgr` or `rgb`; `auto`: by the names of its tensors, `rgb`
            for those of mmsegmentation.
        label_set: kept among the facts of the model.

    Raises:
        UserError: the file is unusable, or holds keys or shapes that no known network has.
    """
    published = read_state(checkpoint)
    state = _normal_keys(published)
    if order == "auto":  # mmsegmentation turns its images to RGB, the others leave them as OpenCV reads them
        order = "rgb" if state.keys() != published.keys() else "bgr"
    dropped = tuple(sorted(key for key in state if _is_training_only(key)))
    kept = {key: value for key, value in state.items() if key not in dropped}
    spec = _spec_of(kept, modality, order, checkpoint)
    table = _DUAL if spec.architecture == "cmx" else _SINGLE
    weights = {_renamed(key, table): value for key, value in kept.items()}
    if order == "bgr":
        weights |= {key: value.flip(1) for key, value in weights.items() if key.endswith(_STEM)}
    model = build_model(spec)
    _check(weights, model.state_dict(), checkpoint)
    model.load_state_dict(weights, strict=True)
    facts = {"imported_from": checkpoint.name, "channel_order": order, "label_set": label_set, "dropped": list(dropped)}
    save_model(model, out, facts)
    return ImportReport(spec, len(weights), dropped)


def _normal_keys(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Keys of mmsegmentation's SegFormer head as those of CMX's.

    Its fusing convolution has no bias, since a batch norm follows; that of CMX has one, here of zeros.
    """
    renamed: dict[str, Tensor] = {}
    for key, value in state.items():
        for old, new in _MMSEG:
            key = new + key.removeprefix(old) if key.startswith(old) else key  # noqa: PLW2901
        renamed[key] = value
    weight, bias = (f"decode_head.linear_fuse.0.{part}" for part in ("weight", "bias"))
    if weight in renamed and weight not in state and bias not in renamed:
        renamed[bias] = renamed[weight].new_zeros(renamed[weight].shape[0])
    return renamed


def _is_training_only(key: str) -> bool:
    return any(name in key for name in _TRAINING_ONLY) or key.startswith(("head.", "decode_head.conv_seg."))


def _renamed(key: str, table: tuple[tuple[str, str], ...]) -> str:
    for prefix, ours in table:
        if key.startswith(prefix):
            return ours + key.removeprefix(prefix)
    return key


def _spec_of(state: Mapping[str, Tensor], modality: str, order: str, path: Path) -> ModelSpec:
    """The network that keys and shapes belong to."""
    try:
        widths = tuple(state[f"backbone.patch_embed{s}.proj.weight"].shape[0] for s in range(1, 5))
        classes = int(state["decode_head.linear_pred.weight"].shape[0])
        width = int(state["decode_head.linear_pred.weight"].shape[1])
    except KeyError as error:
        raise UserError(f"{path} lacks {error}; it is not a CMX, PrimKD or SegFormer checkpoint") from error
    depths = tuple(
        len({key.split(".")[2] for key in state if key.startswith(f"backbone.block{s}.")}) for s in range(1, 5)
    )
    encoder = next((n for n, size in MIT_SIZES.items() if (size.widths, size.depths) == (widths, depths)), None)
    if encoder is None:
        raise UserError(f"{path} has widths {widths} and depths {depths}, which no MiT has; it cannot be imported")
    dual = any(key.startswith("backbone.extra_") for key in state)
    step = -1 if order == "bgr" else 1
    return ModelSpec(
        architecture="cmx" if dual else "segformer",
        encoder=encoder,
        num_classes=classes,
        inputs=("rgb", "depth") if dual else (modality,),
        depth=DepthEncoding("hha", mask_channel=False),
        options={"decoder_options": {"width": width}},
        rgb_mean=IMAGENET_MEAN[::step],
        rgb_std=IMAGENET_STD[::step],
    )


def _check(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: Path) -> None:
    """Every key must be known, present, and of the right shape."""
    faults = [f"unknown {key}" for key in sorted(weights.keys() - expected.keys())]
    faults += [f"missing {key}" for key in sorted(expected.keys() - weights.keys())]
    faults += [
        f"{key} has shape {tuple(weights[key].shape)}, not {tuple(expected[key].shape)}"
        for key in sorted(weights.keys() & expected.keys())
        if weights[key].shape != expected[key].shape
    ]
    if faults:
        more = f" and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise UserError(f"{path} does not fit the network that its sizes tell of: {'; '.join(faults[:5])}{more}")
