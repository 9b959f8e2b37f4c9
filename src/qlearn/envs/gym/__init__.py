"""Gymnasium, both ways: its environments for our learners, ours for its users."""
