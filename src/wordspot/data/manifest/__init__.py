"""A CSV file of recordings and their labels, for the task `recordings`."""
