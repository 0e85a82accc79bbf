"""Do two runs have the same settings? Options that one of them does not name stand at their defaults."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

from .run_folder import flatten, plain


class Difference(NamedTuple):
    """An option by its dotted name, as it was and as it is; `no such option` where it exists on one side alone."""

    name: str
    before: Any
    now: Any


class _Absent:
    def __repr__(self) -> str:
        return "no such option"


_ABSENT = _Absent()

_ADDED_AS = {"crodino.disc_norm": "none"}
"""What was done before an option existed, where that is not its default: a run that does not name it had this."""


@functools.cache
def option_defaults() -> dict[str, Any]:
    """Defaults of every option of every script, as dotted names."""
    # Here, since these modules write run folders themselves.
    from .approaches import MethodConfig
    from .bundle_config import BundleConfig
    from .data.photometry import ColorJitter, DepthJitter
    from .primkd import PrimKdConfig
    from .primkd.stages import StudentConfig, TeacherConfig
    from .settings import ModelConfig

    tree = {
        **asdict(BundleConfig()),
        "model": asdict(ModelConfig()),
        "fusion": asdict(ModelConfig(architecture="cmx")),
        "method": asdict(MethodConfig()),
        "teacher": asdict(TeacherConfig()),
        "student": asdict(StudentConfig()),
        "guidance": asdict(PrimKdConfig()),
        "encoder_weights": "",
        "teacher_train": {},
    }
    amounts = {"data": {"color": asdict(ColorJitter()), "depth": asdict(DepthJitter())}}
    return {**flatten(plain(tree)), **flatten(plain(amounts))}


def _value(flat: Mapping[str, Any], name: str) -> Any:
    if name in flat:
        return flat[name]
    if any(other.startswith(f"{name}.") for other in flat):
        return {}  # a mapping with content: each of its entries is compared by itself
    return _ADDED_AS.get(name.removeprefix("method."), option_defaults().get(name, _ABSENT))


def first_difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> Difference | None:
    """The first option in which two flattened settings differ, None where they agree.

    An option that the package did not have yet when `before` was written, or that only one side names, counts as its
    default, or as what was done before it existed; one that has no default (see `option_defaults`) is a difference.
    """
    for name in sorted(before.keys() | now.keys()):
        difference = Difference(name, _value(before, name), _value(now, name))
        if difference.before != difference.now:
            return difference
    return None
