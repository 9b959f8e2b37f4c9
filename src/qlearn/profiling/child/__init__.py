"""What runs inside a user's process while it is measured: the standard library, and nothing else.

Started by path, as `python .../child OUT OPTIONS -- SCRIPT ARGUMENTS`; what it found is in OUT.
"""
