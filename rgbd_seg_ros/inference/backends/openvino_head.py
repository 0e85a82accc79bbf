"""The first layers of a network apart from the rest, so that OpenVINO can compute the two in different precisions."""

from __future__ import annotations

from typing import Any

_LAYERS = frozenset({"Convolution", "GroupConvolution", "MatMul"})
_ELEMENTWISE = frozenset({"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Clamp", "Relu", "HSwish"})
"""Bias, batch norm and activation go with their layer: the runtime computes them in one."""


def split_head(network: Any) -> tuple[Any, Any] | None:
    """Cuts `network` behind the first layer of every image.

    OpenVINO's precision hint holds for whole models. In bf16 it would round normalised depth by centimetres and the
    weights that look for differences of neighbours, which ruins the labels of depth (docs/measurements.md).

    Args:
        network: an `openvino.Model` of fixed shape; used up unless None comes back.

    Returns:
        The model from images to features and the one from features to labels, whose inputs are the outputs of the
        first in order; None where an image is used in other ways than by a first layer.
    """
    import openvino
    from openvino import opset13
    from openvino.passes import ConstantFolding, Manager

    passes = Manager()
    passes.register_pass(ConstantFolding())  # what depends on shapes alone is no image
    passes.run_passes(network)
    first = _first_layers(network)
    if not first:
        return None
    features = [_with_elementwise(layer) for layer in first]
    inputs = []
    for feature in features:
        inputs.append(opset13.parameter(feature.get_partial_shape(), feature.get_element_type()))
        for target in list(feature.get_target_inputs()):
            target.replace_source_output(inputs[-1].output(0))
    body = openvino.Model(network.get_results(), [], inputs, "body")
    return openvino.Model(features, network.get_parameters(), "head"), body


def _first_layers(network: Any) -> list[Any]:
    """Operations that read images with no other layer in between; none at all where one image has another way."""
    reads_image: set[str] = set()
    reads_layer: set[str] = set()
    first = []
    for operation in network.get_ordered_ops():
        name, kind = operation.get_friendly_name(), operation.get_type_name()
        sources = {source.get_source_output().get_node().get_friendly_name() for source in operation.inputs()}
        image, layer = bool(sources & reads_image), bool(sources & reads_layer)
        if image and (layer or kind == "Result"):
            return []
        if image and kind in _LAYERS:
            first.append(operation)
            reads_layer.add(name)
        elif image or kind == "Parameter":
            reads_image.add(name)
        elif layer:
            reads_layer.add(name)
    return first


def _with_elementwise(operation: Any) -> Any:
    """The output of `operation` after what is done to each of its values alone."""
    while True:
        targets = list(operation.output(0).get_target_inputs())
        if len(targets) != 1 or targets[0].get_node().get_type_name() not in _ELEMENTWISE:
            return operation.output(0)
        following = targets[0].get_node()
        others = [
            i.get_source_output().get_node() for i in following.inputs() if i.get_index() != targets[0].get_index()
        ]
        if any(other.get_type_name() != "Constant" for other in others):
            return operation.output(0)
        operation = following
