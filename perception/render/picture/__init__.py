"""From the world at one moment to pixels: view, raster, light, sky, ground, optics."""
