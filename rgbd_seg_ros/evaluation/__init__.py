"""Metrics, reports and pictures of what was labelled; no ROS, no torch."""
