"""Torch networks of the package: one factory, `build_model(ModelSpec(...))`, and their files on disk."""

from rgbd_seg_ros.models.checkpoint import load_model, read_facts, save_model
from rgbd_seg_ros.models.network import SegmentationModel
from rgbd_seg_ros.models.registry import available_architectures, available_encoders, build_model
from rgbd_seg_ros.models.spec import DepthEncoding, ModelSpec

__all__ = [
    "DepthEncoding",
    "ModelSpec",
    "SegmentationModel",
    "available_architectures",
    "available_encoders",
    "build_model",
    "load_model",
    "read_facts",
    "save_model",
]
