"""From plain Python functions to compiled modules: text, cache, build. Knows nothing of games."""
