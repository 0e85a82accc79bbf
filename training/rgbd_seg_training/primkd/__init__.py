"""PrimKD (ACM MM 2024): a single-modality teacher guides a CMX student on predictions and features."""

from .config import PrimKdConfig
from .method import PrimKdMethod

__all__ = ["PrimKdConfig", "PrimKdMethod"]
