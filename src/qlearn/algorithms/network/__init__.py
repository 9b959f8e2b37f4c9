"""What every algorithm with a network shares: how it sees, and how it plays."""
