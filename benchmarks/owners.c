/*
 * Many owners, killed at once: each makes a queue with a message in it, and lives until it is killed.
 *
 *     ./owners MOUNTPOINT COUNT
 *
 * Says `made`, waits for a line, kills them all, and says when, in seconds of CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void own(int number, int tell)
{
	char name[32];
	/* Thousands that die at normal priority would keep everybody from the CPU, whatever the server. */
	sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0});
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(name, sizeof name, "owner-%d", number);
	int failed = mkdir(name, 0700) || chdir(name) || close(open("m", O_CREAT | O_WRONLY, 0600));
	if (write(tell, failed ? "-" : "+", 1) == 1)
		for (;;)
			pause();
	_exit(1);
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0, made[2];
	pid_t *owners = calloc((size_t)count + 1, sizeof *owners);
	if (!count || !owners || chdir(argv[1]) || pipe(made))
		return 1;
	for (int number = 0; number < count; number++) {
		char sign = '-';
		owners[number] = fork();
		if (!owners[number])
			own(number, made[1]);
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
