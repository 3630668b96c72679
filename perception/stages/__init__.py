"""The steps around the inference: pure functions from one record to the next."""
