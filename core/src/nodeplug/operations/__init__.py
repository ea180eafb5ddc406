"""What an operator sees of a running agent and of a node."""
