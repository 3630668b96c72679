"""The page of a running loop: pictures, class map, boxes, latency and age, in a browser."""
