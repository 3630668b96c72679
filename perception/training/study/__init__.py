"""Training recipes compared: every arm with every seed, scored alike on whole validation splits."""
