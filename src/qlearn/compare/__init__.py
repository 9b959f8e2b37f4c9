"""Versions side by side: measured in turn, with intervals."""
