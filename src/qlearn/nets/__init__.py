"""Networks as flat arrays: their layout, and the compiled arithmetic on them."""
