"""DQN: Q-learning with a network that learns from replayed transitions, and its variants."""
