"""What `profile` found, said: on a terminal, as one HTML page, as a flame graph."""
