"""Engine, device, threads and copies: chosen by what was measured here, or by a rule."""
