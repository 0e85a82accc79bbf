"""One file per source of data that `training/prepare.py` turns into the common layout."""
