"""Measures of feature maps, accumulated batch by batch: linear CKA and histograms."""

from __future__ import annotations

import torch
from torch import Tensor

SPREADS = 8
"""Range of a histogram: so many standard deviations of the first batch on both sides of its mean."""


class LinearCka:
    """Linear centred kernel alignment of two feature sets (Kornblith et al. 2019, equation 5).

    CKA(X, Y) = ||Yc^T Xc||_F^2 / (||Xc^T Xc||_F ||Yc^T Yc||_F), Xc and Yc centred, n samples in rows. It is 1 for
    features that differ by rotation and scale, and 0 for uncorrelated ones. Only moments are kept: n may be any size.

    Args:
        first: width of X.
        second: width of Y.
    """

    def __init__(self, first: int, second: int) -> None:
        self._widths = (first, second)
        self._count = 0
        self._sum = torch.zeros(first + second, dtype=torch.float64)
        self._products = torch.zeros(first + second, first + second, dtype=torch.float64)

    def update(self, x: Tensor, y: Tensor) -> None:
        """Add samples: X of shape n x first, Y of shape n x second."""
        both = torch.cat((x, y), dim=1).detach().cpu().double()
        self._count += both.shape[0]
        self._sum += both.sum(dim=0)
        self._products += both.T @ both

    def value(self) -> float:
        """CKA of all samples so far; NaN if one of the sets is constant."""
        mean = self._sum / self._count
        moments = self._products / self._count - torch.outer(mean, mean)
        first, _ = self._widths
        xx, yy, xy = moments[:first, :first], moments[first:, first:], moments[:first, first:]
        return float(xy.square().sum() / (xx.norm() * yy.norm()))


class ValueHistogram:
    """Histogram of all values of feature maps; its range is set by the first batch.

    Args:
        bins: number of bins.
    """

    def __init__(self, bins: int = 200) -> None:
        self.counts = torch.zeros(bins, dtype=torch.float64)
        self.low = self.high = 0.0
        self._moments = torch.zeros(3, dtype=torch.float64)

    def update(self, values: Tensor) -> None:
        """Add values of any shape; those outside the range count in the outermost bins."""
        flat = values.detach().cpu().double().flatten()
        if self._moments[0] == 0:
            middle, spread = float(flat.mean()), max(float(flat.std()), 1e-6)
            self.low, self.high = middle - SPREADS * spread, middle + SPREADS * spread
        self.counts += torch.histc(flat.clamp(self.low, self.high), len(self.counts), self.low, self.high)
        self._moments += torch.stack(
            (torch.tensor(float(flat.numel()), dtype=torch.float64), flat.sum(), flat.square().sum())
        )

    @property
    def mean(self) -> float:
        """Mean of all values."""
        return float(self._moments[1] / self._moments[0])

    @property
    def deviation(self) -> float:
        """Standard deviation of all values."""
        return max(float(self._moments[2] / self._moments[0]) - self.mean**2, 0.0) ** 0.5

    def density(self) -> tuple[list[float], list[float]]:
        """Centres of the bins and the density in each."""
        width = (self.high - self.low) / len(self.counts)
        centres = [self.low + (i + 0.5) * width for i in range(len(self.counts))]
        return centres, (self.counts / (self.counts.sum() * width)).tolist()


def pixels(feature: Tensor) -> Tensor:
    """Feature map N x C x H x W as samples NHW x C."""
    return feature.permute(0, 2, 3, 1).flatten(0, 2)
