"""Part files on many machines."""
