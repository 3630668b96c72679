"""Engines scored on labelled data: figures, how sure they are, and the frames where they fail."""
