"""Tabular Q-learning: one rule, several engines."""
