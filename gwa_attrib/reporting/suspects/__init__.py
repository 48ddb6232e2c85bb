"""Suspects as the report shows them: which there are, what speaks against each, its card and its picture."""
