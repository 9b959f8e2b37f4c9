"""PQN: parallel Q-learning with lambda returns (Gallici et al., 2024)."""
