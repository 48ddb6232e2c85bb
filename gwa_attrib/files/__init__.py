"""Files: the places where they lie, and the one way to write them, whole or not at all."""
