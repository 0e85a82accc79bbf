"""Random but plausible indoor materials: what walls, floors, wood, cloth, metal look like."""

from __future__ import annotations

import colorsys
import math

import numpy as np

from rgbd_seg_ros.scenes.materials import Color, Material, MaterialTable, pattern_index, picture_index

WILD = 0.12
"""Share of surfaces whose colours and patterns are drawn without regard to plausibility."""


def tint(rng: np.random.Generator, hue: float, saturation: float, value: float) -> Color:
    """Linear RGB of an HSV colour given in sRGB terms, with a slight random deviation."""
    red, green, blue = colorsys.hsv_to_rgb(
        (hue + rng.normal(0, 0.01)) % 1, min(max(saturation, 0), 1), min(max(value, 0.02), 1)
    )
    return red**2.2, green**2.2, blue**2.2


def scaled(color: Color, gain: float) -> Color:
    """A colour times a gain, clipped to 1."""
    return min(color[0] * gain, 1.0), min(color[1] * gain, 1.0), min(color[2] * gain, 1.0)


class Palette:
    """Draws materials for one scene and registers them; every method returns a material index."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.table = MaterialTable(rng)
        self._seen: list[int] = []

    def _u(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def _pick(self, *options: str) -> str:
        return options[int(self.rng.integers(len(options)))]

    def _surface(self, a: Color, b: Color, pattern: str, period: float, **more: float) -> int:
        rng = self.rng
        index = self.table.add(
            Material(
                a,
                b,
                pattern_index(pattern, rng),
                period,
                more.pop("angle", 0.0),
                grime=pattern_index("noise", rng),
                grime_period=self._u(0.7, 4.0),
                grime_depth=more.pop("grime", self._u(0.0, 0.25)),
                **more,  # type: ignore[arg-type]
            )
        )
        self._seen.append(index)
        return index

    def borrowed(self, otherwise: int, chance: float = 0.12) -> int:
        """Now and then a material that the scene already uses elsewhere, so that colour alone tells nothing."""
        if self._seen and self.rng.random() < chance:
            return self._seen[int(self.rng.integers(len(self._seen)))]
        return otherwise

    def wild(self) -> int:
        """Any colours in any pattern."""
        rng = self.rng
        a = tint(rng, self._u(0, 1), self._u(0, 1), self._u(0.1, 1))
        b = tint(rng, self._u(0, 1), self._u(0, 1), self._u(0.1, 1))
        kind = self._pick("noise", "wood", "checker", "stripes", "plaid", "blots", "marble", "cells", "dots", "tiles")
        return self._surface(a, b, kind, self._u(0.2, 2.5), angle=self._u(0, 3.1), gloss=max(0.0, self._u(-0.5, 0.5)))

    def paint(self) -> int:
        """Wall paint, wallpaper, brick, panelling or tiles."""
        rng = self.rng
        if rng.random() < WILD * 0.6:
            return self.wild()
        kind = rng.random()
        saturation = self._u(0, 0.12) if kind < 0.55 else self._u(0.08, 0.55)
        hue = self._u(0.05, 0.18) if rng.random() < 0.6 else self._u(0, 1)
        value = self._u(0.6, 1.0) if kind < 0.85 else self._u(0.2, 0.7)
        a = tint(rng, hue, saturation, value)
        style = rng.random()
        if style < 0.68:
            return self._surface(a, scaled(a, self._u(0.85, 1.0)), "noise", self._u(1.0, 4.0), grime=self._u(0, 0.12))
        b = scaled(a, self._u(0.45, 0.85))
        if style < 0.84:
            return self._surface(a, b, self._pick("stripes", "blots", "dots", "plaid", "weave"), self._u(0.3, 1.2))
        if style < 0.92:
            return self._surface(b, a, "tiles", self._u(0.5, 1.2), gloss=self._u(0, 0.5))
        return self._surface(b, a, self._pick("bricks", "planks"), self._u(0.6, 1.6))

    def ceiling(self) -> int:
        """Mostly white, sometimes panelled."""
        rng = self.rng
        a = tint(rng, self._u(0.05, 0.2), self._u(0, 0.08), self._u(0.72, 1.0))
        if rng.random() < 0.25:
            return self._surface(scaled(a, self._u(0.4, 0.8)), a, self._pick("tiles", "planks"), self._u(1.0, 2.6))
        return self._surface(a, scaled(a, self._u(0.85, 1.0)), "noise", self._u(0.5, 3.0))

    def flooring(self) -> int:
        """Wood, tiles, carpet, stone or linoleum."""
        rng = self.rng
        if rng.random() < WILD:
            return self.wild()
        style = rng.random()
        turn = float(rng.integers(2)) * math.pi / 2
        if style < 0.4:
            hue, value = self._u(0.04, 0.11), self._u(0.2, 0.85)
            a = tint(rng, hue, self._u(0.25, 0.7), value)
            return self._surface(
                scaled(a, self._u(0.3, 0.7)),
                a,
                "planks",
                self._u(0.8, 2.0),
                angle=turn,
                gloss=max(0, self._u(-0.4, 0.6)),
            )
        if style < 0.62:
            a = tint(rng, self._u(0.03, 0.14), self._u(0, 0.4), self._u(0.25, 0.95))
            kind = self._pick("tiles", "tiles", "checker", "bricks")
            return self._surface(
                scaled(a, self._u(0.3, 0.8)),
                a,
                kind,
                self._u(0.8, 2.6),
                angle=turn + self._pick45(),
                gloss=self._u(0, 0.7),
            )
        if style < 0.9:
            a = tint(rng, self._u(0, 1), self._u(0, 0.4), self._u(0.15, 0.9))
            kind = self._pick("shag", "shag", "weave", "noise", "stripes")
            return self._surface(scaled(a, self._u(0.4, 0.9)), a, kind, self._u(0.4, 1.4), angle=turn)
        a = tint(rng, self._u(0, 0.2), self._u(0, 0.3), self._u(0.2, 0.95))
        return self._surface(scaled(a, self._u(0.4, 0.9)), a, "marble", self._u(0.8, 3), gloss=self._u(0.2, 0.9))

    def _pick45(self) -> float:
        return math.pi / 4 if self.rng.random() < 0.2 else 0.0

    def wood(self) -> int:
        """Furniture board: wood grain, lacquer or a plain colour."""
        rng = self.rng
        style = rng.random()
        gloss = max(0.0, self._u(-0.3, 0.5))
        if style < 0.1:
            return self.wild()
        if style < 0.65:
            a = tint(rng, self._u(0.02, 0.11), self._u(0.3, 0.8), self._u(0.12, 0.85))
            turn = float(rng.integers(2)) * math.pi / 2
            b = scaled(a, self._u(0.35, 0.8))
            return self._surface(a, b, "wood", self._u(0.4, 1.5), angle=turn, gloss=gloss)
        if style < 0.85:
            white = rng.random() < 0.6
            a = tint(rng, self._u(0, 1), self._u(0, 0.1), self._u(0.75, 1.0) if white else self._u(0.03, 0.25))
            return self._surface(a, scaled(a, self._u(0.8, 1)), "noise", self._u(0.5, 2), gloss=gloss)
        a = tint(rng, self._u(0, 1), self._u(0.2, 0.9), self._u(0.2, 0.9))
        return self._surface(a, scaled(a, self._u(0.8, 1)), "noise", self._u(0.5, 2), gloss=gloss)

    def cloth(self, plain: float = 0.6) -> int:
        """Upholstery, bedding, leather; `plain` is the share without a print."""
        rng = self.rng
        if rng.random() < WILD * 0.5:
            return self.wild()
        dull = rng.random() < 0.65
        a = tint(rng, self._u(0, 1), self._u(0, 0.25) if dull else self._u(0.2, 0.8), self._u(0.08, 0.95))
        if rng.random() < plain:
            kind = self._pick("weave", "shag", "noise", "cells")
            gloss = self._u(0.1, 0.5) if kind == "cells" else 0.0
            return self._surface(a, scaled(a, self._u(0.6, 0.95)), kind, self._u(0.15, 0.8), gloss=gloss)
        b = tint(rng, self._u(0, 1), self._u(0, 0.8), self._u(0.05, 1.0))
        kind = self._pick("stripes", "plaid", "blots", "blots", "dots", "checker", "marble")
        return self._surface(a, b, kind, self._u(0.2, 1.2), angle=float(rng.integers(2)) * math.pi / 2)

    def white_cloth(self) -> int:
        """Sheets and pillow cases."""
        a = tint(self.rng, self._u(0, 1), self._u(0, 0.12), self._u(0.75, 1.0))
        return self._surface(a, scaled(a, 0.85), "noise", self._u(0.2, 0.8))

    def enamel(self) -> int:
        """White or pale glazed ceramics."""
        a = tint(self.rng, self._u(0, 1), self._u(0, 0.15), self._u(0.8, 1.0))
        return self._surface(a, scaled(a, 0.95), "noise", 1.0, gloss=self._u(0.3, 0.7), grime=0.05)

    def metal(self) -> int:
        """Steel, brass, black iron; poor infrared return."""
        value = self._u(0.05, 0.3) if self.rng.random() < 0.4 else self._u(0.4, 0.9)
        a = tint(self.rng, 0.1, self._u(0, 0.25), value)
        return self._surface(a, scaled(a, 0.8), "noise", 0.5, gloss=self._u(0.5, 1.0), infrared=self._u(0.3, 0.8))

    def plastic(self) -> int:
        """One strong colour with a sheen."""
        a = tint(self.rng, self._u(0, 1), self._u(0, 1), self._u(0.1, 1))
        return self._surface(a, scaled(a, 0.9), "noise", 1.0, gloss=self._u(0, 0.6))

    def leaf(self) -> int:
        """Plant green."""
        a = tint(self.rng, self._u(0.2, 0.4), self._u(0.4, 0.9), self._u(0.15, 0.6))
        return self._surface(a, scaled(a, self._u(0.3, 0.7)), self._pick("cells", "noise"), self._u(0.1, 0.4))

    def spine(self) -> int:
        """The back of a book."""
        a = tint(self.rng, self._u(0, 1), self._u(0, 0.85), self._u(0.1, 1))
        b = scaled(a, self._u(0.3, 2.0)) if self.rng.random() < 0.7 else tint(self.rng, 0.12, 0.2, self._u(0.6, 1))
        return self._surface(a, b, self._pick("blots", "noise", "stripes"), self._u(0.08, 0.3), angle=math.pi / 2)

    def paper(self) -> int:
        """The cut edges of a book."""
        a = tint(self.rng, 0.12, self._u(0, 0.15), self._u(0.8, 1.0))
        return self._surface(a, scaled(a, 0.85), "stripes", 0.05)

    def lamp_shade(self) -> int:
        """A shade that may be lit from inside."""
        a = tint(self.rng, self._u(0.05, 0.15), self._u(0, 0.4), self._u(0.7, 1.0))
        emission = self._u(0.5, 2.5) if self.rng.random() < 0.4 else 0.0
        return self._surface(a, scaled(a, 0.9), "weave", 0.3, emission=emission)

    def shining(self, strength: float) -> int:
        """The face of a lamp."""
        return self._surface(
            (1.0, 0.97, 0.9), (1.0, 0.97, 0.9), "noise", 1.0, emission=strength, grime=0.0, infrared=0.1
        )

    def picture(self) -> int:
        """Something hung on a wall, possibly behind glass."""
        glass = self.rng.random() < 0.5
        gain = self._u(0.5, 1.0)
        return self.table.add(
            Material(
                (gain, gain, gain), (0, 0, 0), picture=picture_index("picture", self.rng),
                gloss=0.5 if glass else 0.0, infrared=self._u(0.1, 0.6) if glass else 1.0,
            )
        )  # fmt: skip

    def window_view(self, daylight: float) -> int:
        """A pane with the outside behind it; returns no infrared."""
        return self.table.add(
            Material(
                (0.7, 0.7, 0.7), (0, 0, 0), picture=picture_index("view", self.rng),
                gloss=0.6, emission=daylight, infrared=self._u(0.0, 0.08),
            )
        )  # fmt: skip

    def screen(self, lit: bool) -> int:
        """A television or monitor, dark or showing something."""
        if lit:
            return self.table.add(
                Material(
                    (0.8, 0.8, 0.8), (0, 0, 0), picture=picture_index("screen", self.rng),
                    gloss=0.5, emission=self._u(0.6, 2.0), infrared=0.05,
                )
            )  # fmt: skip
        dark = tint(self.rng, 0.6, self._u(0, 0.2), self._u(0.03, 0.2))
        return self._surface(dark, scaled(dark, 0.8), "noise", 1.0, gloss=self._u(0.3, 0.8), infrared=self._u(0.1, 0.5))

    def mirror(self) -> int:
        """A mirror."""
        a = tint(self.rng, 0.55, self._u(0, 0.1), self._u(0.3, 0.6))
        return self._surface(a, scaled(a, 0.9), "noise", 3.0, gloss=1.0, infrared=0.03)
