"""What the help of eventq says: of all, and of each command."""

ABOUT = """\
Send to, receive from and look after the queues of an eventfs mount. QUEUE is a queue's path, such
as /run/events/jobs. Each command has a help of its own: eventq COMMAND --help
"""

MORE = """\
exit status:
  0  done
  1  nothing there, or nothing came in time
  2  the command line is wrong
  3  no such queue
  4  the queue is full, or a limit of yours or of the mount's is reached
  5  permission denied
  6  no eventfs there
  7  the queue has vanished: its owner died, or somebody removed it
  8  the message is too large: it will never fit
  9  the daemon of the mount has died
  10 anything else
  11 the command of recv --exec or claim --exec failed
  12 a lease ran out before the command of claim --exec was done
  130, 141  SIGINT and SIGPIPE, as a shell shows them: Ctrl-C, and `| head`
  What is wrong is told in one line on standard error; 1 says it all.

examples:
  eventq create /run/events/jobs            until this shell ends
  eventq send /run/events/jobs <job.txt     a message
  seq 9 | eventq send --lines /run/events/jobs             a message a line
  eventq recv /run/events/jobs              wait for a message, and take it
  eventq recv --follow --exec 'sh -s' /run/events/jobs     each is a script
  eventq claim --follow --exec 'sh -s' /run/events/jobs    no crash loses one
  eventq ls
"""

#: What each command does, and examples.
COMMANDS = {
    "create": """\
Make a queue. A queue vanishes with the process that it belongs to, and eventq itself ends at
once: so it becomes that of the process that started eventq, which is the shell (or xargs, or
sudo: then say whose it is to be with --owner).

What RULEs it is to have is told below. Limits hold for this queue, beside those of its user.

examples:
  eventq create /run/events/jobs              until this shell, or script, ends
  eventq create --owner $$ /run/events/jobs   the same, said aloud
  sudo eventq create --owner $$ /run/events/jobs
  eventq create --sticky /run/events/log      until somebody removes it
  eventq create --mode 1733 /run/events/drop  all may send, only you may take
  eventq create --topic /run/events/news      keeps nothing, but has followers
  eventq create --max-messages 1000 --overflow drop-oldest /run/events/last
  eventq create --ttl 60 /run/events/now      nothing is older than a minute
  eventq create --max-attempts 3 --dead-letter /run/events/bad /run/events/jobs
""",
    "send": """\
Append a message to a queue: standard input to its end, or each FILE. It is there as a whole or
not at all.

examples:
  echo "message text" | eventq send /run/events/jobs
  eventq send /run/events/jobs *.job                     each file a message
  seq 1000 | eventq send --lines /run/events/jobs        a thousand messages
  tail -f log | eventq send --lines /run/events/log      each line as it comes
  find . -print0 | eventq send -0 /run/events/files
""",
    "recv": """\
Take the oldest message and print it; wait for one where there is none.

One message is printed as it is. Of several (--count, --follow) each ends in a newline, which is
added where its content has none.

What was taken and can't be printed is given back, as the newest message of the queue: since the
reader of the output has gone, the disk is full, or Ctrl-C or a SIGTERM came. Nothing is taken
once the reader has gone. What it hasn't read by then of what was printed is its loss. Followers of
the queue get what is given back a second time.

With --exec a shell runs COMMAND for each message, with the content on its standard input. If it
fails, the message is given back in the same way, recv stops, and the exit status is 11.

With --timeout the exit status is 1 if less has come than --count says; with --follow, if nothing
has.

examples:
  eventq recv /run/events/jobs
  eventq recv --follow /run/events/log               until the queue vanishes
  eventq recv --follow --timeout 0 /run/events/log   all that is there
  eventq recv --follow /run/events/log | head -1     what isn't printed stays
  eventq recv --count 3 --timeout 10 --json /run/events/jobs
  eventq recv --follow --exec 'gzip >$(mktemp)' /run/events/jobs
""",
    "claim": """\
Run a shell COMMAND for the oldest message, with the content on its standard input; wait for a
message where there is none. The message is lent to eventq meanwhile: nobody else gets it. If the
command succeeds, the message is done and gone. If it fails, or eventq ends in whatever way, the
message is given back to its old place in the queue, for the next who claims it. So each message is
worked on until that succeeds, perhaps more than once. (And perhaps by two at a time: who kills
eventq by SIGKILL doesn't end its command.)

After a command that has failed claim stops, and the exit status is 11. With --keep-going it says
so and goes on: with the same message, as it is the oldest. Queues with --max-attempts, and perhaps
a --dead-letter, are made for that: what failed so often is put aside.

A death is noticed in any case. A --lease is against commands that hang: after so many seconds the
message is given back and others may work on it, though the command isn't ended. That is what
timeout(1) is for. claim doesn't renew the lease, since only the command knows that it gets on. It
can: EVENTQ_MESSAGE is the path of the message while it is lent, and to touch it lets the time begin
anew. If the command is done too late the exit status is 12.

With --timeout the exit status is 1 if less has come than --count says; with --follow, if nothing
has.

examples:
  eventq claim --exec 'sh -s' /run/events/jobs
  eventq claim --follow --keep-going --exec ./work /run/events/jobs
  eventq claim --follow --timeout 0 --exec ./work /run/events/jobs  all there is
  eventq claim --lease 60 --exec 'timeout 50 ./work' /run/events/jobs
  eventq claim --lease 60 --exec 'for part in a b c; do
      ./work $part; touch "$EVENTQ_MESSAGE"
  done' /run/events/jobs
  eventq claim --exec 'getfattr -n user.eventfs_attempts "$EVENTQ_MESSAGE"' \\
      /run/events/jobs                   how often it came back before
""",
    "peek": """\
Print the oldest message as it is, or all (each ends in a newline then, which is added where its
content has none), and leave them where they are. The exit status is 1 where there is none.

examples:
  eventq peek /run/events/jobs
  eventq peek --all --json /run/events/jobs | jq -r .name
""",
    "cast": """\
Append a message, standard input or a FILE, to many queues: it is stored once. If some of them
don't get it, the others do; each failure is a line, and the exit status is that of the first.

examples:
  echo reload | eventq cast /run/events/worker-*
  eventq cast --file event.json -- /run/events/*.client
""",
    "ls": """\
List the queues of a mount, or of all mounts in /proc/self/mounts whose type is fuse.eventfs and
that you may enter.

In a terminal it is a table. Otherwise each queue is a line of nine values with tabs between
them: path, owner's process id, its command, number of messages, their bytes, seconds since the
oldest was written, flags, number of messages that are lent, and of those that it lost, dropped or
expired. Flags have commas between them: `sticky`, `topic`, and `lease` for a queue that holds what
is lent. What isn't there, or isn't yours to see, is a `-`; an owner that lives where you can't see
it is a `?`. Characters that can't be shown are escapes such as \\n. A table has the last two only
where a queue has any.

examples:
  eventq ls
  eventq ls /run/events | awk -F'\\t' '$4 > 1000 {print $1}'
  eventq ls --json | jq 'select(.owner == null) | .queue'
  eventq ls --all /run/events | grep 'lease'        who holds messages
""",
    "stat": """\
Tell all about a queue. In a terminal for people; otherwise each line is a name, a tab and a plain
value.

examples:
  eventq stat /run/events/jobs
  eventq stat --json /run/events/jobs | jq .messages
""",
    "watch": """\
Tell what happens in a queue, and take nothing, until it vanishes: `arrived` for each message,
whichever way it comes; `removed` for each name that is unlinked (`head` or `tail` where it was
popped through that, but nothing for what is taken through a port, of which the kernel doesn't
tell); `moved` for each that is renamed, be it claimed or moved to another queue for good (what
comes back from a claim isn't told: it is no arrival); `missed` for arrivals that your limits had
no room for; `vanished` at the end. Each line has tabs between the time, what happened, the name,
and for arrivals the sender's user id and the size.

It makes a queue of its own in the same mount, which follows the other; it is gone when watch
ends.

examples:
  eventq watch /run/events/jobs
  eventq watch --json /run/events/jobs | jq .event
""",
    "wait": """\
Wait until there is a message, and leave it there; or for the opposite, which is also that none is
lent that may come back. The exit status is 1 if that didn't happen in time.

examples:
  eventq wait /run/events/jobs && echo something to do
  eventq wait --empty --timeout 60 /run/events/jobs || echo still at work
  eventq wait --gone /run/events/worker                  for its owner's end
""",
    "rm": """\
Remove queues, with all that is in them. If some can't be removed, the others are; each failure is
a line, and the exit status is that of the first.

examples:
  eventq rm /run/events/jobs
""",
    "follow": """\
Let a queue get whatever arrives in other queues of the same mount from now on, instead of what it
has followed until now. Without a SOURCE it follows nothing any more.

examples:
  eventq follow /run/events/all /run/events/usb /run/events/net
  cd /run/events && eventq follow all usb net
  eventq follow /run/events/all
""",
}
