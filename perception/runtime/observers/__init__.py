"""What looks on while the loop runs and gets the account of every finished frame: a trace, metrics."""
