"""From trained networks to a model bundle: graph, ONNX export, verification, lower precision."""
