"""One file per runtime, each with a `Backend`; `registry.py` knows them by name and imports them when needed."""
