"""Do all texts point the same way? The mean cosine between different texts, by layer."""
