"""The wire protocols: one package each, with the same file names; `registry` lists them.

`base` defines what a protocol provides. This file imports nothing, so that `base` can be imported
from below the protocols.
"""
