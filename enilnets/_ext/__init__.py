"""Compiled modules, built from csrc/; imported by ``enilnets.ops`` only."""
