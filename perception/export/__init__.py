"""From a checkpoint to an engine folder, and the proof that both agree."""
