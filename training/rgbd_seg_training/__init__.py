"""Training of RGB-D segmentation models: data, methods, one engine for all of them."""
