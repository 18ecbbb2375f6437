/*
 * Who waits in poll for what arrives in a queue: how long after its sending each message is here.
 *
 *     ./woken QUEUE
 *
 * Says `ready`; takes messages, each the time of its sending in seconds of CLOCK_MONOTONIC, until
 * one is `end`; says how long the median one took, in seconds.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 100000 };

static int compare(const void *one, const void *other)
{
	double difference = *(const double *)one - *(const double *)other;
	return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
	static double took[MOST];
	int count = 0, port = -1;
	if (argc == 2 && !chdir(argv[1]))
		port = open(".pipe", O_RDWR | O_NONBLOCK);
	if (port < 0)
		return 1;
	puts("ready");
	fflush(stdout);
	while (count < MOST) {
		char message[4096];
		ssize_t size = read(port, message, sizeof message - 1);
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (size < 0) {
			if (errno != EAGAIN || poll(&(struct pollfd){port, POLLIN, 0}, 1, -1) < 0)
				return 1;
			continue;
		}
		message[size] = 0;
		if (!strcmp(message, "end"))
			break;
		took[count++] = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec - atof(message);
	}
	qsort(took, (size_t)count, sizeof *took, compare);
	printf("%.9f\n", took[count / 2]);
	return 0;
}
