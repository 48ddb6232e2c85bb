"""Listening to a training: its head, its layers, the ids that ride in its batches, and what is checked of them."""
