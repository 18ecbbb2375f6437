#!/bin/sh
# Two containers that share nothing but eventfs: one sends, one receives. The daemon runs outside, and
# each sees the mount through a bind mount in another place. See docs/containers.md for the rest.
#
# usage: containers.sh DIRECTORY    (on which eventfs is mounted; as root, with eventq in PATH)

set -eu

# Namespaces are what a container is made of; here they run this script again, for one of its parts.
container() { # PART
    exec unshare --mount --pid --ipc --uts --fork --kill-child --mount-proc sh "$0" "$events" "$1"
}

enter() { # has the mount on /mnt, and only there
    mount --bind "$events" /mnt
    umount "$events"
}

receiver() {
    # The queue is this shell's, which is process 1 in here; the daemon knows it by another number.
    eventq create /mnt/inbox
    for _ in 1 2 3; do
        echo "received: $(eventq recv --timeout 60 /mnt/inbox)"
    done
}

sender() {
    for number in 1 2 3; do
        echo "message $number from process $$" | eventq send /mnt/inbox
    done
    test -e "$events/inbox" || echo 'the sender sees the mount on /mnt only'
}

case $#:${2-} in
1:)
    events=$1
    containers=
    # unshare ignores SIGTERM; killed, it takes the container with it.
    trap 'kill -KILL $containers 2>/dev/null || :' EXIT
    trap 'exit 1' INT TERM HUP
    container receiver &
    receiver=$!
    containers=$receiver
    until [ -d "$events/inbox" ]; do
        kill -0 "$receiver" # or it has failed, and said why
        sleep 0.1
    done
    container sender &
    containers="$receiver $!"
    wait $!
    wait "$receiver"
    trap - EXIT
    test -e "$events/inbox" || echo 'the receiver has ended, and so has its queue'
    ;;
2:receiver | 2:sender)
    events=$1
    enter
    "$2"
    ;;
*)
    echo 'usage: containers.sh DIRECTORY    (on which eventfs is mounted; as root)' >&2
    exit 2
    ;;
esac
