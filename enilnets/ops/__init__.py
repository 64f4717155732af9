"""The only door to C: pure functions in forward/backward pairs, one file per concern."""
