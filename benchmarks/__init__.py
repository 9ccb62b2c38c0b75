"""How fast the rules are: timings against other libraries, as ratios, outside the test run."""
