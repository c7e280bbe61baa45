"""The fuzzer of `tools/fuzz.py`: mutators, a corpus made on the spot, targets, and the process that runs their cases."""
