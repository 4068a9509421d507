"""The parts of a page about results: sections, tables, facts and figures, and the template that they fill."""
