"""Random outdoor materials: streets, grass, foliage, roofs, rock, water."""

from __future__ import annotations

import numpy as np

from rgbd_seg_ros.scenes.palette import Palette, scaled, tint


class OutdoorPalette(Palette):
    """Draws outdoor materials; `season` shifts all plants from green (0) to autumn (1); negative = snow."""

    def __init__(self, rng: np.random.Generator, season: float = 0.0) -> None:
        super().__init__(rng)
        self.season = season

    def _plant(self, low: float, high: float) -> tuple[float, float, float]:
        hue = self._u(0.2, 0.32) - 0.17 * max(self.season, 0.0) * self._u(0.5, 1.0)
        saturation = self._u(0.3, 0.7) * (0.3 if self.season < 0 else 1.0)
        return tint(self.rng, hue, saturation, self._u(low, high))

    def asphalt(self) -> int:
        """Road surface or paving."""
        grey = tint(self.rng, self._u(0, 0.2), self._u(0, 0.12), self._u(0.3, 0.7))
        kind = self._pick("noise", "noise", "shag", "tiles", "bricks")
        return self._surface(scaled(grey, self._u(0.7, 0.95)), grey, kind, self._u(2.0, 8.0))

    def grass(self) -> int:
        """Lawn, meadow or bare soil."""
        a = self._plant(0.3, 0.7) if self.season >= 0 else tint(self.rng, 0.6, 0.05, self._u(0.8, 1.0))
        return self._surface(a, scaled(a, self._u(0.5, 0.9)), self._pick("noise", "shag", "cells"), self._u(2, 12))

    def foliage(self) -> int:
        """Tree crown."""
        a = self._plant(0.15, 0.5)
        return self._surface(a, scaled(a, self._u(0.3, 0.7)), self._pick("cells", "noise", "blots"), self._u(0.8, 4))

    def bark(self) -> int:
        """Tree trunk."""
        a = tint(self.rng, self._u(0.05, 0.1), self._u(0.2, 0.5), self._u(0.15, 0.4))
        return self._surface(a, scaled(a, 0.6), "wood", 0.5)

    def roof(self) -> int:
        """Tiles, bitumen, metal or gravel."""
        red = self.rng.random() < 0.45
        hue, saturation = (self._u(0.01, 0.06), self._u(0.3, 0.75)) if red else (self._u(0, 1), self._u(0, 0.15))
        a = tint(self.rng, hue, saturation, self._u(0.25, 0.85))
        return self._surface(
            scaled(a, self._u(0.6, 0.9)), a, self._pick("tiles", "bricks", "noise", "stripes"), self._u(1, 4)
        )

    def lacquer(self) -> int:
        """Car paint: mostly white, grey and black."""
        colored = self.rng.random() < 0.35
        a = tint(self.rng, self._u(0, 1), self._u(0.5, 0.9) if colored else self._u(0, 0.08), self._u(0.08, 1.0))
        return self._surface(a, scaled(a, 0.95), "noise", 2.0, gloss=0.5, grime=0.03)

    def rock(self) -> int:
        """Stone."""
        a = tint(self.rng, self._u(0, 0.15), self._u(0, 0.25), self._u(0.3, 0.75))
        return self._surface(a, scaled(a, self._u(0.4, 0.8)), self._pick("noise", "cells", "marble"), self._u(2, 12))

    def water(self) -> int:
        """A lake or pool."""
        a = tint(self.rng, self._u(0.48, 0.62), self._u(0.2, 0.6), self._u(0.15, 0.6))
        return self._surface(a, scaled(a, 0.9), "noise", self._u(4, 20), gloss=self._u(0.5, 0.9), grime=0.02)
