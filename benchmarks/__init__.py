"""What is measured: each module is a command; `zoo` has the models."""
