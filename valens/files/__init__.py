"""Files: written whole or not at all, read strictly, named by their content."""
