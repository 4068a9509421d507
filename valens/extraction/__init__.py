"""From texts to stored vectors: plan, batch, capture, keep."""
