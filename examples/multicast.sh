#!/bin/sh
# Multicast in shell: each message is written once and linked into every subscriber's queue; no
# copy is made. Each subscriber removes its own name of it, and the last removal frees it.
#
# usage: multicast.sh DIRECTORY    (on which eventfs is mounted)

set -eu

subscribers='anna ben cleo'

# A queue lives as long as the process that made it, so what mkdir makes is gone when mkdir ends.
# But exec keeps the process: make the queue, then become the program that uses it.
own() { # QUEUE PROGRAM [ARGUMENT...]
    exec python3 -c 'import os, sys; os.mkdir(sys.argv[1]); os.execvp(sys.argv[2], sys.argv[2:])' "$@"
}

publisher() { # writes in a queue of its own, and links what is complete
    for name in 1 2 3 bye; do
        echo "message $name" > "$events/publisher/$name"
        for subscriber in $subscribers; do
            # A subscriber that has died has no queue any more; the others get the message.
            ln "$events/publisher/$name" "$events/$subscriber/$name" || echo "$subscriber is gone"
        done
        rm "$events/publisher/$name"
    done
}

subscriber() { # NAME: takes what is in its queue, oldest first, until it says bye
    until [ "${text-}" = 'message bye' ]; do
        if text=$(cat "$events/$1/head" 2>/dev/null); then
            rm "$events/$1/head"
            echo "$1 got: $text"
        else
            sleep 0.1 # the queue is empty; programs would wait with inotify instead
        fi
    done
}

start() { # PART: this script again, as a process of its own that owns a queue of that name
    own "$events/$1" sh "$0" "$events" "$1" &
    children="$children $!"
}

case $#:${2-} in
1:)
    events=$1
    probe=$events/multicast.$$
    mkdir "$probe"
    if rmdir "$probe" 2>/dev/null; then
        echo "$events is not an eventfs: there, this queue would be gone with mkdir" >&2
        exit 1
    fi
    children=
    trap 'kill $children 2>/dev/null || :' EXIT
    trap 'exit 1' INT TERM HUP
    for name in $subscribers; do
        start "$name"
        until [ -d "$events/$name" ]; do
            kill -0 $! # or it has failed, and said why
            sleep 0.1
        done
    done
    start publisher
    for child in $children; do
        wait "$child"
    done
    trap - EXIT
    ;;
2:publisher)
    events=$1
    publisher
    ;;
2:*)
    events=$1
    subscriber "$2"
    ;;
*)
    echo 'usage: multicast.sh DIRECTORY    (on which eventfs is mounted)' >&2
    exit 2
    ;;
esac
