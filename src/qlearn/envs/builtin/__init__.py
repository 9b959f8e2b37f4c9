"""The environments that come with qlearn, one file each."""
