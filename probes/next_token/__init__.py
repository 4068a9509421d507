"""Who knows the very next token? Figure 6."""
