"""Runs the parts: backends, pools, servers, and the watch on what is in use."""
