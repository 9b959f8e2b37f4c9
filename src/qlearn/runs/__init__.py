"""A run on disk: configuration, metrics, checkpoints, and the driver that trains. Knows no command."""
