"""What is counted while the agent runs, for Prometheus. Names and units follow its conventions."""
