"""Functions in Triton that kernels of several ops are made of."""
