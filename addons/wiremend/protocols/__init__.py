"""One package per wire protocol, with the same file names in each; `registry` lists them.

`base` defines what a protocol provides. This file imports nothing, so that `base` can be imported
from below the protocols.
"""
