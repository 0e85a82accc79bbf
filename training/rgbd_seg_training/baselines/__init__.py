"""Teacher/student methods that CroDiNo-KD is compared with, on the same engine and networks."""

from .config import DistillConfig
from .method import DistillMethod

__all__ = ["DistillConfig", "DistillMethod"]
