#!/bin/sh
# A crash-proof pool of workers in shell: a worker moves a job into a queue of its own, and if it dies
# over it, eventfs moves it back. Only eventq create is no plain file operation: mkdir's own queue
# would be gone when mkdir ends. (`eventq claim --follow --exec` does all that a worker here does.)
#
# usage: worker_pool.sh DIRECTORY    (on which eventfs is mounted; with eventq in PATH)

set -eu

worker() { # does jobs, oldest first, until there are none; worker 1 dies over its first
    mine=$jobs.worker-$1
    eventq create --mode 700 --lease inf "$mine"
    while name=$(readlink "$jobs/head"); do
        # Others look at the same job; it is whose mv succeeds.
        mv "$jobs/$name" "$mine/$name" 2>/dev/null || continue
        [ "$1" != 1 ] || sh -c 'kill -KILL $PPID'
        if factor < "$mine/$name"; then
            rm "$mine/$name"
        else
            mv "$mine/$name" "$jobs/$name"
        fi
    done
    rmdir "$mine"
}

case $# in
1)
    jobs=$1/jobs
    eventq create "$jobs" # this shell's
    seq 1001 1012 > "$jobs/.lines" # a message a line
    for number in 1 2 3; do
        worker "$number" &
    done
    wait
    worker 4 # what worker 1 had is in the queue again
    rmdir "$jobs"
    ;;
*)
    echo 'usage: worker_pool.sh DIRECTORY    (on which eventfs is mounted)' >&2
    exit 2
    ;;
esac
