"""CDNA code on the CPU: reading assembly and code objects, and what each instruction computes."""
