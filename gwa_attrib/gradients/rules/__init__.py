"""Rules of the layers: how each kind of layer makes per-sample gradients of its parameters."""
