"""The C engine in Python: recognise files that it supports, make its data from them, and run them in its compiled form."""
