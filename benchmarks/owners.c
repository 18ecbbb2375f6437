/*
 * Many owners, killed at once: each makes a queue with a message in it, and lives until it is killed.
 *
 *     ./owners MOUNTPOINT COUNT
 *
 * Says `made`, waits for a line, kills them all, and says when, in seconds of CLOCK_MONOTONIC.
 *
 * What is to be seen is what their deaths cost the server, not what ten thousand exits cost the
 * kernel: so they share their memory, their descriptors and their working directory (they are
 * processes all the same, each with an id and a death of its own), and leave the CPUs to others.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STACK = 16384 };

static int made[2];

static int own(void *number)
{
	char name[32], message[40];
	sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof name, "owner-%d", (int)(intptr_t)number);
	snprintf(message, sizeof message, "%s/m", name);
	int failed = mkdir(name, 0700) || close(open(message, O_CREAT | O_WRONLY, 0600));
	if (write(made[1], failed ? "-" : "+", 1) == 1)
		for (;;)
			pause();
	return 1;
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0;
	pid_t *owners = calloc((size_t)count + 1, sizeof *owners);
	if (!count || !owners || chdir(argv[1]) || pipe(made))
		return 1;
	for (int number = 0; number < count; number++) {
		char sign = '-', *stack = malloc(STACK);
		owners[number] = !stack ? -1 :
			clone(own, stack + STACK, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD,
				(void *)(intptr_t)number);
		if (owners[number] < 0 || read(made[0], &sign, 1) != 1 || sign != '+') {
			printf("only %d owners can be had\n", number);
			return 1;
		}
	}
	puts("made");
	fflush(stdout);
	if (getchar() == EOF)
		return 1;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	for (int number = 0; number < count; number++)
		kill(owners[number], SIGKILL);
	while (wait(NULL) > 0)
		;
	printf("%lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
	return 0;
}
