"""Numbers that the help of the command line names too: here they cost no import."""

EVEN = 0.3
"""The `label_score` at which half of the labels were right, over all trainings of `docs/detection.md`."""
