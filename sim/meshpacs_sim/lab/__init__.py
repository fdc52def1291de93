"""The laboratory: scenarios, runs, sweeps, results, and what is drawn and told of them."""
