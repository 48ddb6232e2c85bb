"""The main job: data in, a model trained while it is recorded, ranked samples and a report out."""
