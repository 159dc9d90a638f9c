"""What a trained run is held against: baselines, noise, invariance, and its own confidence."""
