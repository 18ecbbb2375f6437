/*
 * A writer or a reader of the mixed storm in C; see mixed_storm.py, which compiles it.
 *
 *     stormer put .pipe QUEUE LOG WRITER COUNT
 *     stormer put file QUEUE LOG WRITER COUNT OWN
 *     stormer take .pipe|file QUEUE LOG
 *     stormer wait    (what a shell hasn't got: poll, in its working directory)
 *
 * Writers add a byte to their log for each message that is in; readers add each message that they
 * have taken, by one write(2), and end when the queue is empty after their standard input was closed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGEST 4096
#define NOTHING 3 /* the status of `wait` when there is nothing and never will be */

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int must(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

static void write_all(int file, const char *text, size_t length, const char *what)
{
	if (write(file, text, length) != (ssize_t)length)
		fail(what);
}

static size_t message(char *text, const char *writer, int number)
{
	int zeros = number % 100 == 99 ? 3000 : number * 37 % 100 + 20;
	return (size_t)snprintf(text, LARGEST, "%s %d %0*d.", writer, number, zeros, 0);
}

/* Write in a queue of our own, which goes when we are killed, and link from there: whole at once. */
static void put_file(int own, const char *writer, int number, const char *text, size_t length)
{
	char name[64];
	snprintf(name, sizeof name, "%s-%d", writer, number);
	int file = must(openat(own, "m", O_CREAT | O_EXCL | O_WRONLY, 0600), "m");
	write_all(file, text, length, "m");
	must(close(file), "m");
	must(linkat(own, "m", AT_FDCWD, name, 0), name);
	must(unlinkat(own, "m", 0), "m");
}

static void put(int log, int port, int own, const char *writer, int count)
{
	char text[LARGEST];
	for (int number = 0; number < count; number++) {
		size_t length = message(text, writer, number);
		if (own < 0)
			write_all(port, text, length, ".pipe");
		else
			put_file(own, writer, number, text, length);
		write_all(log, ".", 1, "the log");
	}
}

/*
 * Take a message; -1 where there is none, or where another was faster. It takes its time: those who
 * take by names, which are seven requests, would get next to nothing else.
 */
static ssize_t take_port(int port, char *text)
{
	access("nothing", F_OK);
	access("nothing", F_OK);
	ssize_t length = read(port, text, LARGEST);
	if (length < 0 && errno != EAGAIN)
		fail("read");
	return length;
}

/* What is unlinked through head is what this thread has opened through it, or ENOENT. */
static ssize_t take_file(char *text)
{
	int file = open("head", O_RDONLY);
	if (file < 0)
		return errno == ENOENT ? -1 : must(-1, "open head");
	ssize_t length = read(file, text, LARGEST);
	if (length < 0)
		fail("read head");
	close(file);
	if (unlink("head"))
		return errno == ENOENT ? -1 : must(-1, "unlink head");
	return length;
}

/* Wait for a message, or for the end: whether there is a message. */
static bool wait_for_message(int port)
{
	struct pollfd waits[] = {{.fd = port, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
	must(poll(waits, 2, -1), "poll");
	if (waits[0].revents & ~POLLIN) {
		fprintf(stderr, "the port has hung up\n");
		exit(1);
	}
	/* When the end was seen the port may have been looked at too early. */
	if (!waits[0].revents)
		must(poll(waits, 1, 0), "poll");
	return waits[0].revents;
}

static void take(int log, int port, bool by_port)
{
	char text[LARGEST];
	ssize_t length;
	do {
		while ((length = by_port ? take_port(port, text) : take_file(text)) >= 0)
			write_all(log, text, (size_t)length, "the log");
	} while (wait_for_message(port));
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "wait"))
		return wait_for_message(must(open(".pipe", O_RDONLY), ".pipe")) ? 0 : NOTHING;
	if (argc < 5) {
		fprintf(stderr, "stormer: see the source\n");
		return 2;
	}
	bool puts = !strcmp(argv[1], "put"), by_port = !strcmp(argv[2], ".pipe");
	int log = must(open(argv[4], O_CREAT | O_APPEND | O_WRONLY, 0600), argv[4]);
	int own = -1;
	if (puts && !by_port) {
		must(mkdir(argv[7], 0700), argv[7]);
		own = must(open(argv[7], O_DIRECTORY), argv[7]);
	}
	must(chdir(argv[3]), argv[3]);
	int port = must(open(".pipe", (puts ? O_WRONLY : O_RDONLY) | O_NONBLOCK), ".pipe");
	if (puts)
		put(log, port, own, argv[5], atoi(argv[6]));
	else
		take(log, port, by_port);
	return 0;
}
