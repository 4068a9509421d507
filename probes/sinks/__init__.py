"""Which tokens swallow the attention, how long are their vectors, and what does that do to a mean? By layer."""
