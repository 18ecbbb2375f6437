"""The filesystem as the kernel sees it.

- `operations`: requests in, answers out; no rules, those are in `eventfs.queues`
- `errnos`: which errno each refusal is
- `owners`: which process made a queue, and when it dies; all that is specific to one system
- `reader`: the event loop behind pyfuse3
- `notifier`: what the kernel is told that it didn't ask for
- `lifeline`: what becomes of those who wait when the daemon is killed
- `mounting`: how the mount comes to be, and goes
- `session`: from mounting to unmounting
"""
