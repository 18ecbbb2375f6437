"""The rules of eventfs, and nothing else: no I/O, no clock, no FUSE.

Where to find a rule:

- `tree`: what may be made, linked and removed where; a queue's fate; when an inode is freed
- `queue`: the order of messages, `head` and `tail`, and whom they and the ports belong to
- `message`: a message's bytes, sparse files included
- `renaming`: what rename does, in a queue and from one to another
- `leases`: messages on loan, how they return, and dead letters
- `bounds`: a queue's own limits, and what is dropped or expires; `timers`: when to look at a queue
- `unfinished`: messages that their creators haven't closed yet
- `ports`: what goes through `.pipe` and `.lines`; `packet`: as what it stands in a queue meanwhile
- `followers`: queues in which the messages of others arrive too
- `sightings`: which message a thread means that unlinks `head`
- `ledger`: who may have how much, and who has how much
- `acl`: access control lists
- `inode`: modes, owners and times
- `attributes`: what extended attributes of queues and messages may be, and what follows from them;
  `xattrs`: how they are kept; `computed`: those that can only be read
- `names`: lengths and reserved names
- `errors`: what a caller may be refused for
"""
