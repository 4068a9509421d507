"""Results: tables with their provenance, and how they are shown."""
