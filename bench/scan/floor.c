/* What the kernel asks for at the least: a non-blocking connect, one canned hello, and reading the server's flight to its
   end, in C over one epoll. It understands nothing of what it reads, and so knows only servers that speak TLS 1.2.

   floor PLACES [CONCURRENCY]; prints how many answered. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_PLACES = 1 << 20, MOST_FILES = 1 << 20, EVENTS = 1024, PATIENCE_MS = 3000, ALERT = 21 };

/* TLS 1.2 only, so that the whole chain comes in clear and ServerHelloDone is the last of it (RFC 5246, 7.4). */
static const unsigned char HELLO[] = {
	0x16, 3, 1, 0, 0x91, 1, 0, 0, 0x8d, 3, 3,
	/* a random that is none */
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
	/* no session; ECDHE with AES-GCM or ChaCha20; no compression; 88 bytes of extensions */
	0, 0, 12, 0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30, 0xcc, 0xa9, 0xcc, 0xa8, 1, 0, 0, 0x58,
	/* renegotiation_info; groups X25519 and P-256; uncompressed points */
	0xff, 1, 0, 1, 0, 0, 10, 0, 6, 0, 4, 0, 0x1d, 0, 0x17, 0, 11, 0, 2, 1, 0,
	/* signature algorithms */
	0, 13, 0, 0x2c, 0, 0x2a, 4, 3, 5, 3, 6, 3, 8, 7, 8, 8, 8, 4, 8, 5, 8, 6, 8, 9, 8, 10, 8, 11,
	4, 1, 5, 1, 6, 1, 4, 2, 5, 2, 6, 2, 3, 3, 3, 1, 2, 3, 2, 1,
	/* ALPN http/1.1; extended master secret */
	0, 16, 0, 11, 0, 9, 8, 'h', 't', 't', 'p', '/', '1', '.', '1', 0, 23, 0, 0,
};
/* ServerHelloDone is the flight's last message, and empty. */
static const unsigned char DONE[] = {14, 0, 0, 0};

enum fate { GOES_ON, ANSWERED, LOST };

static struct sockaddr_in places[MOST_PLACES];
static struct { char sent; unsigned char tail[4]; } state[MOST_FILES];

static int read_places(const char *path) {
	char line[128];
	int n = 0;
	FILE *file = fopen(path, "r");
	if (!file) { perror(path); exit(2); }
	while (n < MOST_PLACES && fgets(line, sizeof line, file)) {
		char *colon = strrchr(line, ':');
		if (!colon) continue;
		*colon = 0;
		places[n].sin_family = AF_INET;
		places[n].sin_port = htons(atoi(colon + 1));
		inet_pton(AF_INET, line, &places[n++].sin_addr);
	}
	fclose(file);
	return n;
}

static int begin(int poll, const struct sockaddr_in *place) {
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s < 0 || s >= MOST_FILES) { perror("socket"); exit(2); }
	if (connect(s, (const void *)place, sizeof *place) && errno != EINPROGRESS) { close(s); return 0; }
	memset(&state[s], 0, sizeof state[s]);
	struct epoll_event event = {EPOLLIN | EPOLLOUT | EPOLLET, {.fd = s}};
	epoll_ctl(poll, EPOLL_CTL_ADD, s, &event);
	return 1;
}

/* A record may come in pieces: keeps the last four bytes of all that came. */
static void keep_tail(unsigned char *tail, const unsigned char *data, ssize_t n) {
	if (n >= 4) { memcpy(tail, data + n - 4, 4); return; }
	memmove(tail, tail + n, 4 - n);
	memcpy(tail + 4 - n, data, n);
}

static enum fate read_flight(int s) {
	static unsigned char data[65536];
	for (;;) {
		ssize_t n = recv(s, data, sizeof data, 0);
		if (n < 0) return errno == EAGAIN ? GOES_ON : LOST;
		if (n == 0 || data[0] == ALERT) return LOST;
		keep_tail(state[s].tail, data, n);
		if (!memcmp(state[s].tail, DONE, sizeof DONE)) return ANSWERED;
	}
}

static enum fate go_on(int s, unsigned events) {
	if (!state[s].sent) {
		if (events & (EPOLLERR | EPOLLHUP)) return LOST;
		state[s].sent = 1;
		if (send(s, HELLO, sizeof HELLO, MSG_NOSIGNAL) < 0) return LOST;
	}
	return events & EPOLLIN ? read_flight(s) : GOES_ON;
}

int main(int argc, char **argv) {
	if (argc < 2) { fprintf(stderr, "floor PLACES [CONCURRENCY]\n"); return 2; }
	int total = read_places(argv[1]), most = argc > 2 ? atoi(argv[2]) : 1000;
	int poll = epoll_create1(EPOLL_CLOEXEC), asked = 0, open = 0, ok = 0;
	struct epoll_event events[EVENTS];
	while (asked < total || open) {
		while (asked < total && open < most) open += begin(poll, &places[asked++]);
		int n = epoll_wait(poll, events, EVENTS, PATIENCE_MS);
		if (n <= 0) break;
		for (int i = 0; i < n; i++) {
			enum fate fate = go_on(events[i].data.fd, events[i].events);
			if (fate == GOES_ON) continue;
			ok += fate == ANSWERED;
			close(events[i].data.fd);
			open--;
		}
	}
	printf("{\"ok\": %d}\n", ok);
	return 0;
}
