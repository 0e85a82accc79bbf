"""Model bundles and their execution: images in, labels out, whatever runtime the machine has."""
