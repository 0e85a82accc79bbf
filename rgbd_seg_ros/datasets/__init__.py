"""Prepared data sets: the one layout that training, evaluation and replay read (numpy and OpenCV only)."""

from rgbd_seg_ros.core.intrinsics import Intrinsics
from rgbd_seg_ros.datasets.manifest import DepthFacts, FileFacts, Manifest
from rgbd_seg_ros.datasets.prepared_set import PreparedSet, Sample

__all__ = ["DepthFacts", "FileFacts", "Intrinsics", "Manifest", "PreparedSet", "Sample"]
