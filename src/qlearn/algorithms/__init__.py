"""The rules: one folder an algorithm. Nothing in here knows of run folders or commands."""
