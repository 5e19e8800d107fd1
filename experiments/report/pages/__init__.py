"""What a report writes: READMEs, tables and pages."""
