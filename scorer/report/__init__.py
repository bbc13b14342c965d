"""Pages to look at: of a run, and of two runs compared. One file each, which asks for nothing outside of itself."""
