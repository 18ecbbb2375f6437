#!/bin/sh
# Request and reply in shell: a request begins with the name of the queue that waits for the answer.
#
# usage: request_reply.sh DIRECTORY    (on which eventfs is mounted; with eventq in PATH)

set -eu

server() { # adds two numbers, until it is told to stop
    eventq create "$events/sums"
    while request=$(eventq recv "$events/sums") && [ "$request" != stop ]; do
        answer "$events" $request
    done
}

answer() { # EVENTS REPLY-TO NUMBER NUMBER
    # Where there is no such queue, who asked has died meanwhile.
    echo "$3 + $4 = $(($3 + $4))" | eventq send "$1/$2" 2>/dev/null || echo "$2 has gone"
}

request() { # TEXT
    echo "$1" > "$events/sums/.pipe" # one write, one message
}

case $# in
1)
    events=$1
    mine=answers-$$
    server &
    until [ -d "$events/sums" ]; do
        kill -0 $! # or it has failed, and said why
        sleep 0.1
    done
    eventq create --mode 0700 "$events/$mine" # nobody else can take an answer, or send a false one
    request "$mine 1 2"
    eventq recv --timeout 60 "$events/$mine"
    request 'answers-of-the-dead 3 4'
    request "$mine 20 22"
    eventq recv --timeout 60 "$events/$mine"
    request stop
    wait
    ;;
*)
    echo 'usage: request_reply.sh DIRECTORY    (on which eventfs is mounted)' >&2
    exit 2
    ;;
esac
