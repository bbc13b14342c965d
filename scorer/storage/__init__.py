"""Input and output of bytes: files, folders and objects, complete or absent."""
