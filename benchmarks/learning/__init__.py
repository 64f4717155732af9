"""Whether agents learn: returns reached on small environments over several seeds. See benchmarks/README.md."""
