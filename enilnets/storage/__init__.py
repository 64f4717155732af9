"""Model files: atomic writes and a container for named arrays whose loading can never run code."""
