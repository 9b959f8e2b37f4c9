"""What `qlearn check` looks at, stage by stage: the class, its text, plain play, compiled play."""
