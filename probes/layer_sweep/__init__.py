"""Which layers should an embedding average? Figure 3, and the layer set."""
