"""Validate and profile ROCm kernels for mixture-of-experts routing and sampling."""

__version__ = "0.1.0"
