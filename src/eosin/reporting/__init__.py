"""The report: one page that says what a run found, how sure it is, and on what."""
