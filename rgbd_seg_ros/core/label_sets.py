"""Label sets as data: class names and display colours, index = label value, 255 = unlabelled."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Names and display colours of the classes of a data set.

    Attributes:
        name: short identifier, e.g. `nyu13`.
        classes: one name per class, in label order.
        colors: one (r, g, b) triple, 0..255, per class.
    """

    name: str
    classes: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        if len(self.classes) != len(self.colors):
            raise ValueError(f"label set {self.name}: {len(self.classes)} classes but {len(self.colors)} colours")
        if not 0 < len(self.classes) < 255:
            raise ValueError(f"label set {self.name}: {len(self.classes)} classes; 1 to 254 fit in a mono8 image")


def spread_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """`count` distinct display colours by the bit-interleaving palette of PASCAL VOC, black left out."""
    colors = []
    for index in range(1, count + 1):
        red = green = blue = 0
        value = index
        for shift in range(7, -1, -1):
            red |= (value & 1) << shift
            green |= (value >> 1 & 1) << shift
            blue |= (value >> 2 & 1) << shift
            value >>= 3
        colors.append((red, green, blue))
    return tuple(colors)


_NYU13 = (
    "bed", "books", "ceiling", "chair", "floor", "furniture", "objects",
    "picture", "sofa", "table", "tv", "wall", "window",
)  # fmt: skip
_NYU13_COLORS = (
    (0, 0, 255), (233, 89, 48), (0, 218, 0), (149, 0, 240), (222, 241, 24), (255, 206, 206), (0, 224, 229),
    (106, 136, 204), (117, 29, 41), (240, 35, 235), (0, 167, 156), (249, 139, 0), (225, 229, 194),
)  # fmt: skip
_NYU40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture", "counter",
    "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor-mat", "clothes", "ceiling", "books",
    "refrigerator", "television", "paper", "towel", "shower-curtain", "box", "whiteboard", "person", "night-stand",
    "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture", "otherprop",
)  # fmt: skip
_POTSDAM = ("impervious", "building", "low_vegetation", "tree", "car", "clutter")
_POTSDAM_COLORS = ((255, 255, 255), (0, 0, 255), (0, 255, 255), (0, 255, 0), (255, 255, 0), (255, 0, 0))
_MIDAIR = (
    "sky", "animals", "trees", "dirt_ground", "ground_vegetation", "rocky_ground", "boulders", "empty", "water_plane",
    "man_made_construction", "road", "train_track", "road_sign", "other_man_made",
)  # fmt: skip
_MIDAIR7 = ("sky", "trees", "land", "rocks", "water", "road", "others")
_MIDAIR7_COLORS = (
    (110, 180, 255), (20, 110, 40), (150, 190, 90), (120, 110, 100), (20, 60, 190), (90, 90, 95), (230, 60, 60),
)  # fmt: skip

NYU40_TO_NYU13: tuple[int, ...] = tuple(
    v - 1
    for v in (
        12, 5, 6, 1, 4, 9, 10, 12, 13, 6, 8, 6, 13, 10, 6, 13, 6, 7, 7, 5,
        7, 3, 2, 6, 11, 7, 7, 7, 7, 7, 7, 6, 7, 7, 7, 7, 7, 7, 6, 7,
    )
)  # fmt: skip
"""For each NYU-40 label 0..39 the NYU-13 label 0..12."""

LABEL_SETS: dict[str, LabelSet] = {
    s.name: s
    for s in (
        LabelSet("nyu13", _NYU13, _NYU13_COLORS),
        LabelSet("nyu40", _NYU40, spread_colors(40)),
        LabelSet("sunrgbd37", _NYU40[:37], spread_colors(37)),
        LabelSet("potsdam6", _POTSDAM, _POTSDAM_COLORS),
        LabelSet("midair14", _MIDAIR, spread_colors(14)),
        LabelSet("midair7", _MIDAIR7, _MIDAIR7_COLORS),
    )
}
"""Every label set that the package knows, by name."""
