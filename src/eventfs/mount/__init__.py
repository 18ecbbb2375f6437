"""The filesystem as the kernel sees it.

- `operations`: requests in, answers out; no rules, those are in `eventfs.queues`
- `ports`: the ports' handles, reads, writes and polls
- `errnos`: which errno each refusal is
- `owners`: which process made a queue, and when it dies; all that is specific to one system
- `wire`: the kernel's requests and our answers as bytes
- `device`: the system calls of each request, in C where there was a compiler
- `connection`: the descriptor that they come through, and what the kernel is told unasked
- `reader`: the loop that reads requests and has them answered
- `notifier`: the thread that tells the kernel which names are gone
- `memory`: what is done with memory that was freed
- `lifeline`: what becomes of those who wait when the daemon is killed
- `mounting`: how the mount comes to be, and goes
- `closing`: when a message is closed by its creator, for `-o commit=close`
- `session`: from mounting to unmounting
"""
