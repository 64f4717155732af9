"""What ``enilnets demo`` can show: complete runs on real data, each one file."""
