"""Files that the C engine of wordspot can run: recognised, made into its data, and run by its compiled form."""
