"""The streaming loop, its benchmark and the evaluation of engines. Without torch."""
