"""The YAML file that describes networks by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from rgbd_seg_ros.errors import UserError
from rgbd_seg_ros.models import ModelSpec, SegmentationModel, build_model


@dataclass(frozen=True)
class Network:
    """One entry.

    Attributes:
        spec: the network.
        pretrained: its encoders start from ImageNet weights by name instead of random ones.
    """

    spec: ModelSpec
    pretrained: bool = False

    def build(self) -> SegmentationModel:
        """The network with its start weights."""
        return build_model(self.spec, self.pretrained)


def read_networks(path: Path) -> dict[str, Network]:
    """All entries: the fields of a `ModelSpec`, and `pretrained` (default false).

    Raises:
        UserError: the file cannot be read, or an entry is no network.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read ({error}); name the YAML file of the networks.") from error
    if not isinstance(entries, dict) or not all(isinstance(entry, dict) for entry in entries.values()):
        raise UserError(f"{path} does not describe networks by name; see training/configs/bundle/models.yaml.")
    networks = {}
    for name, entry in entries.items():
        pretrained = entry.pop("pretrained", False)
        if not isinstance(pretrained, bool):
            raise UserError(f"{path}: pretrained of {name} is {pretrained!r}; give true or false.")
        networks[name] = Network(ModelSpec.from_dict(entry), pretrained)
    return networks
