"""Ways to look at a model's passes without changing the model."""
