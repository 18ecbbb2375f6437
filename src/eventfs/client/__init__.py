"""What a Python program uses queues with: plain file operations on a mounted path.

It needs neither the daemon's socket nor its parts, and only the standard library.
"""
