"""Output for people, during work and of a result: one line of progress, small tables, texts that hide nothing."""
