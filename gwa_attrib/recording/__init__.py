"""The only place with hooks: the head, the layers, the ids that ride in the batches, and what is checked of them."""
