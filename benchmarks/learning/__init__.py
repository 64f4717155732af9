"""What is learned, over several seeds, beside what others learn from the same data."""
