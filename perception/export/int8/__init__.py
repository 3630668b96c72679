"""INT8 engines: the ranges of a float graph, and the graph that quantises its convolutions by them."""
