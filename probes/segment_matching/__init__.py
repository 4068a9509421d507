"""Does a text's beginning find its own end? Figure 2."""
