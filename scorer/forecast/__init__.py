"""Forecasts of `score --plan`: the input counted, a sample of it read and timed, and what a run will take."""
