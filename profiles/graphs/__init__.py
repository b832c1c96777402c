"""Whether an op is safe to capture in a HIP or CUDA graph, and the proof of it."""
