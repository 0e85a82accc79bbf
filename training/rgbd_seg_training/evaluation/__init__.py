"""Evaluation of torch models: whole image, sliding window, several scales and mirror images."""

from rgbd_seg_training.evaluation.predict import Protocol, predict_probabilities
from rgbd_seg_training.evaluation.run import evaluate_model

__all__ = ["Protocol", "evaluate_model", "predict_probabilities"]
