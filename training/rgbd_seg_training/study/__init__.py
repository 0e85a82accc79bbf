"""Comparison of training methods: variants x modalities x seeds, tables with intervals, pictures."""
