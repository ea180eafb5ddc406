"""The main job on simulated hardware: a kubelet, the agent, pods, and what they show."""
