"""Numbers that the help of the command line names too: here they cost no import."""

EVEN = 0.3
"""The `label_score` at which half of the labels were right, over all trainings of `docs/detection.md`."""

LEVEL = 0.95
"""Share of the cases in which an interval holds what it is about: of metrics, of differences, of groups."""
STANDARD_ERRORS = 1.96
"""Half-width of an interval of that level by the normal distribution, in standard errors; rounded, as it is printed."""
COUNT_ERRORS = 1.64
"""Standard errors (Poisson) by which the estimated number of wrong labels is widened, 90 % by the normal distribution:
on purpose less than `LEVEL`, as that range already goes from a strict count to a lax one."""
