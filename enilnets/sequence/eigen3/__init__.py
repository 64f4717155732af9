"""The Eigen3 trading networks."""
