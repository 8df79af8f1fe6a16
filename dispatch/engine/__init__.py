"""The engine: pure, picklable, the same for live dispatch, replays and benchmarks. `solve(problem) → plan`."""
