"""Is it the values, or the pooling? Every step from the mean of hidden states to the mean of values, and every fix."""
