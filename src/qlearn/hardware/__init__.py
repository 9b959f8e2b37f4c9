"""From a finite Q-learning problem to a circuit that learns it, and the proof that it does."""
