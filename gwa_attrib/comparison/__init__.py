"""Side by side: runs, and methods on one run."""
