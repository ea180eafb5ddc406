"""Where the devices of a node are, and how close they are to each other.

Closeness is what `nodeplug.placement` means by it, so that what is shown is what is preferred.
"""
