"""What is read of a text: prompts, poolings, readings, and representations by name."""
