"""Made-up H&E cases: the embedded default of the demo and the tests."""
