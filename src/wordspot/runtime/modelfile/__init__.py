"""The exported file: its card, its graph, its self-test. All that export and runtime share."""
