"""Injection through the Container Device Interface: names, specs, and the files they stand in.

The kubelet replays a container's CDI names for its whole life (R45), so an entry stays as long
as a container may hold its device, over the agent's end as well.
"""
