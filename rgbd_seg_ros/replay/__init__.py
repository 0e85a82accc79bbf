"""Frame sources, sensor faults, scenarios and recordings: what a camera would send, and what came back."""
