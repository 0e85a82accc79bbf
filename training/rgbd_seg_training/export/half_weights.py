"""Weights of a full-precision graph kept as half floats in its file: half the size, the same arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np

from rgbd_seg_ros.errors import UserError

LEAST = 1024
"""Smaller tensors stay as they are: biases, whose sums reach far, and constants."""


def keep_weights_half(model: Any) -> int:
    """Turn the large float weights of an `onnx.ModelProto` into half floats, each followed by a cast back.

    Runtimes do the cast once, when they load the graph (constant folding), so a session computes in fp32 as before with
    weights that are rounded to 11 bits. Every weight must be in the range of half floats.

    Args:
        model: changed in place.

    Returns:
        Bytes saved in the file.

    Raises:
        UserError: a weight is too large for a half float.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    casts, saved = [], 0
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < LEAST:
            continue
        with np.errstate(over="ignore"):
            halves = values.astype(np.float16)
        if not np.isfinite(halves).all():
            raise UserError(f"weight {tensor.name} is too large for a half float; export without half weights.")
        name, stored = tensor.name, f"{tensor.name}.half"
        tensor.CopyFrom(numpy_helper.from_array(halves, stored))
        casts.append(helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=TensorProto.FLOAT))
        saved += values.nbytes - halves.nbytes
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return saved
