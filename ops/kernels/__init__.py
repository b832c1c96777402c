"""Triton kernels: `<op>.py` holds those of one op, and a function of its canonical signature.

Only these modules import triton, and only `rocmoe.ops.core.launch` launches what they define.
"""
