"""Where the time of a Q-learning program goes, what to change, and the proof. Knows no command."""
