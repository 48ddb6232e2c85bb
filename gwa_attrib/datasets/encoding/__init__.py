"""Encoders of inputs: columns, texts and pictures become one tensor."""
