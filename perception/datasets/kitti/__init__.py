"""KITTI's benchmarks, one file each, and the calibration files that they share."""
