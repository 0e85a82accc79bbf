"""Encoders that start from those of saved models instead of random weights."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import SegmentationModel, load_model


def start_encoders(model: SegmentationModel, template: str) -> None:
    """Copy the encoder of a saved model into every stream of `model`; decoders keep their random weights.

    Args:
        model: a network of one input or of both.
        template: folder of the saved single-modality model; `{input}` stands for `rgb` or `depth`.

    Raises:
        UserError: there is no such model, or its encoder has another form.
    """
    for name in model.spec.inputs:
        folder = Path(template.replace("{input}", name))
        saved = load_model(folder)
        if saved.spec.inputs != (name,):
            raise UserError(f"{folder} reads {', '.join(saved.spec.inputs)}, not {name}; put {{input}} into the path.")
        streams = model.get_submodule("encoders" if len(model.spec.inputs) > 1 else "encoder")
        target = streams[name] if isinstance(streams, nn.ModuleDict) else streams
        try:
            target.load_state_dict(saved.get_submodule("encoder").state_dict())
        except RuntimeError as error:
            raise UserError(
                f"The encoder of {folder} ({saved.spec.encoder}, {saved.spec.options.get('encoder')}) does not fit "
                f"{model.spec.encoder}, {model.spec.options.get('encoder')}; train one with the same options."
            ) from error
