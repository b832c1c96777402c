"""The truth: one module an op, with its float64 oracle, its tolerances, and its judge.

Only NumPy and SciPy are imported here, and the modules import each other relatively, so that a
copy of this folder judges on its own.
"""
