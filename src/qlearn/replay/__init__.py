"""Replay: transitions kept in a ring of frames, drawn uniformly or by priority."""
