"""What is wrong with a node, each with the rule that it breaks and a remedy."""
