"""Pure functions of the loop: frame -> engine input, graph outputs -> scene."""
