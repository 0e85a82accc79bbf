"""Small trained-looking networks, their classes and the size of their input."""

from __future__ import annotations

from typing import Any

from rgbd_seg_ros.core.label_sets import LabelSet

LABELS = LabelSet("five", ("a", "b", "c", "d", "e"), tuple((40 * i, 0, 0) for i in range(5)))
SIZE = (64, 96)


def small_spec(mode: str) -> Any:
    """Spec of the smallest network of each kind: CMX for fusion, single streams otherwise."""
    from rgbd_seg_ros.models.spec import ModelSpec

    inputs = ("rgb", "depth") if mode == "fusion" else (mode,)
    architecture = "cmx" if mode == "fusion" else "lightfpn"
    options: dict[str, Any] = {"decoder_options": {"width": 16}}
    if mode == "fusion":
        options["decoder"] = "lightfpn"
    return ModelSpec(architecture, "test_efficientnet", 5, inputs=inputs, options=options)


def with_varied_labels(model: Any) -> Any:
    """`model` with a last layer that uses all classes: an untrained one gives the same class everywhere."""
    import torch

    from rgbd_seg_training.export.frames import pattern_frames

    frame = pattern_frames(1, *SIZE, seed=1)[0]
    images = {"rgb": torch.from_numpy(frame.rgb)[None], "depth": torch.from_numpy(frame.depth)[None]}
    last = [m for m in model.decoder.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    with torch.no_grad():
        scores = model.eval()(**{name: images[name] for name in model.spec.inputs}).transpose(0, 1).flatten(1)
        gain = 2 / scores.std(dim=1)
        bias = torch.zeros(len(gain)) if last.bias is None else last.bias
        last.weight *= gain[:, None, None, None]
        last.bias = torch.nn.Parameter((bias - scores.mean(dim=1)) * gain)
    return model
