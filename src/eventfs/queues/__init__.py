"""The rules of eventfs, and nothing else: no I/O, no clock, no FUSE.

Where to find a rule:

- `tree`: what may be made, linked and removed where; a queue's fate; when an inode is freed
- `queue`: the order of messages, `head` and `tail`
- `message`: a message's bytes, sparse files included
- `inode`: modes, owners and times
- `xattrs`: extended attributes
- `names`: lengths and reserved names
- `errors`: what a caller may be refused for
"""
