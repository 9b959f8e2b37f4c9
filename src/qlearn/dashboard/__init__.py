"""A local web page over run folders. Reads what trainers wrote; writes knobs and requests, no more."""
