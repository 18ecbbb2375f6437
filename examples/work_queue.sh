#!/bin/sh
# A work queue in shell: each job goes to one of several workers. Only eventq create is no plain file
# operation: mkdir's own queue would be gone when mkdir ends. (`eventq recv --follow --exec` does all
# that a worker here does.)
#
# usage: work_queue.sh DIRECTORY    (on which eventfs is mounted; with eventq in PATH)

set -eu

worker() { # takes jobs, oldest first, until there are none
    while name=$(readlink "$jobs/head"); do
        # Others look at the same job; it is whose rm succeeds.
        if { number=$(cat "$jobs/$name") && rm "$jobs/$name"; } 2>/dev/null; then
            factor "$number"
        fi
    done
}

case $# in
1)
    jobs=$1/jobs
    eventq create "$jobs" # this shell's
    seq 1001 1012 > "$jobs/.lines" # a message a line
    for _ in 1 2 3; do
        worker &
    done
    wait
    rmdir "$jobs"
    ;;
*)
    echo 'usage: work_queue.sh DIRECTORY    (on which eventfs is mounted)' >&2
    exit 2
    ;;
esac
