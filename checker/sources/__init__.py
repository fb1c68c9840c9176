"""The sources, one file each: how facts are read, with nothing that could change them."""
