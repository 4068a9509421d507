"""What commands are made of: options, choices, texts, tables and lines for a terminal, help, errors of usage."""
