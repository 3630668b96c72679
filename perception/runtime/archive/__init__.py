"""The loop over a folder of recordings: each done exactly once, however often the command is killed."""
