"""Recording where people train: Lightning, the Hugging Face Trainer, accelerate, skorch; one file each.

A file imports its framework when it is imported itself; nothing else in the package imports these files.
"""
