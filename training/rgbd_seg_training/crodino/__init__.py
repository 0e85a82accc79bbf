"""CroDiNo-KD: joint training of an RGB and a depth model without a teacher."""

from .config import CrodinoConfig
from .method import CrodinoMethod

__all__ = ["CrodinoConfig", "CrodinoMethod"]
