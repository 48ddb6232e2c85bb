"""Readers of data: a file, a folder or a built-in data set becomes labelled data."""
