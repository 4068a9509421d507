"""A decoder: found, loaded or refused, and what identifies it."""
