"""Enilnets and its peers side by side: ``python -m benchmarks``. See README.md."""
