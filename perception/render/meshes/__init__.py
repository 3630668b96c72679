"""The shapes of things, made from numbers."""
