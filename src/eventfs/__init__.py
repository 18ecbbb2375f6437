"""eventfs: a filesystem in which each directory is a message queue that belongs to a process."""
