"""From pixels to metres on the road: distances with intervals, the road as polygons, the free distance ahead."""
