"""Bundles: a failure with everything that a maintainer needs to see it, without rocmoe.

What one holds is in docs/bundles.md.  How an implementation gets into one: `parts` copies the
module of its backend and all that this imports, so that a bundle calls a library exactly as the
adapter does.  An adapter needs nothing for that, as long as it imports its helpers with `import`
statements, and the library inside functions.  Where its implementation has a `binder`, a function
whose source stands alone, that source is quoted as the call.
"""
