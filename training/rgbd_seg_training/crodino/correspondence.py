"""Which place of one augmented view is which place of the other."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def other_view_grid(own: Tensor, other: Tensor, size: tuple[int, int], cells: tuple[int, int]) -> Tensor:
    """Where the cells of one view lie in the other view.

    Args:
        own: N x 2 x 3, output pixel (x, y, 1) of this view to source pixel; pixel centres at integers.
        other: the same for the other view.
        size: (height, width) of both views in pixels.
        cells: (rows, columns) of the feature map that covers this view.

    Returns:
        N x rows x columns x 2 coordinates (x, y) in -1..1 as `grid_sample` with align_corners False reads them;
        beyond that range the other view does not show the place.
    """
    (height, width), (rows, columns) = size, cells
    y = (torch.arange(rows, device=own.device, dtype=torch.float32) + 0.5) * (height / rows) - 0.5
    x = (torch.arange(columns, device=own.device, dtype=torch.float32) + 0.5) * (width / columns) - 0.5
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    # Written out: autocast would round the operands of matrix products to bf16, which is off by pixels.
    a, b = (m.float()[..., None, None] for m in (own, other))
    source_x = a[:, 0, 0] * grid_x + a[:, 0, 1] * grid_y + a[:, 0, 2] - b[:, 0, 2]
    source_y = a[:, 1, 0] * grid_x + a[:, 1, 1] * grid_y + a[:, 1, 2] - b[:, 1, 2]
    determinant = b[:, 0, 0] * b[:, 1, 1] - b[:, 0, 1] * b[:, 1, 0]
    there_x = (b[:, 1, 1] * source_x - b[:, 0, 1] * source_y) / determinant
    there_y = (b[:, 0, 0] * source_y - b[:, 1, 0] * source_x) / determinant
    return torch.stack([(there_x + 0.5) * (2.0 / width) - 1.0, (there_y + 0.5) * (2.0 / height) - 1.0], -1)


def sample_other_view(image: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Values of the other view at the places of this one.

    Args:
        image: N x C x h x w of the other view.
        grid: from `other_view_grid`.

    Returns:
        N x C x rows x columns, and a bool mask N x rows x columns of the places that the other view shows.
    """
    sampled = functional.grid_sample(image.float(), grid, padding_mode="border", align_corners=False)
    return sampled, (grid.abs() <= 1.0).all(-1)
