"""What survives beyond the next token? Figure 8."""
