"""Bytes in and out: files, folders and objects, complete or absent."""
