"""What instructions compute: pure functions of values, by mnemonic.

Waves, EXEC, registers and memory are the machine's; nothing here knows of them.
"""
