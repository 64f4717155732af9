"""The peers: how each of them does the workloads, as its own users would write them."""
