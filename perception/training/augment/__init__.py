"""How frames are varied in training: place and scale, light and colour, objects of other frames."""
