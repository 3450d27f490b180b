"""How fast xpm is, case by case, with others beside it on the same machine; see docs/benchmarks.md."""
