"""A network that is done learns a class or a task more: what is shown of a data set, where it starts, and what it follows."""
