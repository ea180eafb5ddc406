"""What the agent tells the API server, if it is asked to."""
