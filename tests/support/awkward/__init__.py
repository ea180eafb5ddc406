"""A backend with every difficulty that the boundary must bear, so that no easy vendor shapes it.

Its devices follow `awkward/state.json` below the host root. A set-level environment variable,
OCI hooks, a host file, children that share parents, a resource that wants `prepare`, one whose
name changes, a call that hangs, a crash, and any number of devices.
"""
