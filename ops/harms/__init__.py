"""Kernels that are wrong on purpose, and kernels that are right in another way.

Each module, named after its op, has `HARMS`: the judges must fail the wrong ones on some declared
case, and pass the right ones on all.  `shared` holds what several of them are made with.
"""
