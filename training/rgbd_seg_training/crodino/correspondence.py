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
    pixels = torch.stack([grid_x, grid_y, torch.ones_like(grid_x)], -1).view(1, -1, 3)
    source = pixels @ own.float().transpose(1, 2)
    there = torch.linalg.solve(other[:, :, :2].float(), (source - other[:, None, :, 2].float()).transpose(1, 2))
    there = there.transpose(1, 2).view(-1, rows, columns, 2)
    scale = there.new_tensor([2.0 / width, 2.0 / height])
    return (there + 0.5) * scale - 1.0


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
