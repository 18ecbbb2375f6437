#!/bin/sh
# A log pipeline: programs write lines into a queue's port .lines, each of which is a message; whoever
# reads the port takes as many as there are. No line is torn or lost, however many write at once.
#
# usage: log_pipeline.sh DIRECTORY    (on which eventfs is mounted)

set -eu

service() { # NAME: logs what it does; a line is a message, and nothing has to be created or named
    seq -f "$1: request %g" 5 > "$events/log/.lines"
}

collect() { # starts the services, and counts what they have logged
    for name in web mail db; do
        service "$name" &
    done
    wait
    cut -d: -f1 < "$events/log/.lines" | sort | uniq -c | while read -r count name; do
        echo "$name has logged $count lines"
    done
}

case $#:${2-} in
1:)
    # A queue lives as long as the process that made it, and exec keeps the process: make the queue,
    # then become the program that uses it.
    exec python3 -c 'import os, sys; os.mkdir(sys.argv[1]); os.execvp("sh", sys.argv[2:])' \
        "$1/log" sh "$0" "$1" collect
    ;;
2:collect)
    events=$1
    collect
    ;;
*)
    echo 'usage: log_pipeline.sh DIRECTORY    (on which eventfs is mounted)' >&2
    exit 2
    ;;
esac
