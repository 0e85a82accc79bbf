"""Data sets for training: preparation, loading, augmentation."""
