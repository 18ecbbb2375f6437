/*
 * The least that a C server must do to look like eventfs: the peer that eventfs is measured against.
 *
 *     gcc -O2 floor.c -o floor $(pkg-config --cflags --libs fuse3) && ./floor MOUNTPOINT
 *
 * It serves the same requests with the same answers, so that the kernel asks as often: directories
 * that are queues, `head` and `tail`, messages in memory, the same rules for what the kernel may
 * remember, and for consumers that compete: who opened a message through `head` unlinks that one, or
 * gets ENOENT; and `.pipe`, where a call is a message. It has no owners, quotas, extended attributes
 * or access control lists, no `.lines`, and no poll. It is single-threaded, but for the thread that
 * tells the kernel which names were popped.
 */
#define FUSE_USE_VERSION 34
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LONG_S (365.0 * 24 * 3600) /* what the kernel is told of when it changes */
#define MOST_BYTES ((off_t)1 << 40)
#define PIPE_BYTES (255 * 4096) /* more may be the first piece of what the kernel has cut */
#define COLLECT_MS 50 /* how long popped names wait until the kernel is told */
#define COLLECT_MOST 4096

enum { HEAD, TAIL, PIPE, WAYS };
static const char *const ways[] = {"head", "tail", ".pipe"};

struct node;

/* A name. Names of one directory are linked in order of their arrival. */
struct entry {
	struct entry *prev, *next, *chain;
	struct node *node;
	uint64_t place, hash;
	char name[];
};

/* An inode; the kernel knows it by its address. Attributes: st_nlink counts names. */
struct node {
	struct stat attr;
	uint64_t holds; /* the kernel's lookups and open handles */
	struct node *queue; /* that a way leads into: head, tail, .pipe */
	union {
		struct { /* a message */
			char *data;
			size_t room;
			unsigned past_cache; /* open handles that write past the page cache */
		};
		struct { /* the root, a queue */
			struct entry *first, *last, **buckets;
			uint32_t bucket_count, count;
			struct node *way[WAYS];
		};
		int which; /* a way */
	};
};

/* What a thread opened through head or tail, so that it unlinks just that. */
static struct sighting {
	pid_t tid;
	int which;
	bool opened;
	struct node *queue;
	ino_t message;
} sightings[4096];

/* Names that were popped, for the thread that tells the kernel. */
static struct popped {
	fuse_ino_t queue, message;
	char name[256];
} popped[COLLECT_MOST];
static size_t popped_count;
static pthread_mutex_t popped_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t popped_some = PTHREAD_COND_INITIALIZER;

static struct fuse_session *session;
static struct node root;
static uint64_t last_number = 1;

static struct node *node_of(fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? &root : (struct node *)ino;
}

static fuse_ino_t ino_of(struct node *node)
{
	return node == &root ? FUSE_ROOT_ID : (fuse_ino_t)node;
}

static struct timespec now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_REALTIME, &time);
	return time;
}

static void *allocated(void *memory)
{
	if (!memory) {
		perror("floor");
		exit(1);
	}
	return memory;
}

static void init_node(struct node *node, mode_t mode, uid_t uid, gid_t gid)
{
	node->attr.st_ino = last_number++;
	node->attr.st_mode = mode;
	node->attr.st_uid = uid;
	node->attr.st_gid = gid;
	node->attr.st_blksize = 4096;
	node->attr.st_atim = node->attr.st_mtim = node->attr.st_ctim = now();
}

static struct node *new_node(mode_t mode, uid_t uid, gid_t gid)
{
	struct node *node = allocated(calloc(1, sizeof *node));
	init_node(node, mode, uid, gid);
	return node;
}

static void hold(struct node *node)
{
	node->holds++;
	if (node->queue)
		node->queue->holds++;
}

static void unhold(struct node *node, uint64_t count)
{
	node->holds -= count;
	if (node->queue) {
		unhold(node->queue, count);
	} else if (!node->holds && !node->attr.st_nlink) {
		if (S_ISREG(node->attr.st_mode)) {
			free(node->data);
		} else {
			free(node->buckets);
			for (int which = HEAD; which < WAYS; which++)
				free(node->way[which]);
		}
		free(node);
	}
}

/* Names */

static uint64_t hash_of(const char *name)
{
	uint64_t hash = 14695981039346656037u; /* FNV-1a */
	while (*name)
		hash = (hash ^ (unsigned char)*name++) * 1099511628211u;
	return hash;
}

static int way_of(const struct node *dir, const char *name)
{
	int which = dir == &root ? -1 : PIPE;
	while (which >= 0 && strcmp(name, ways[which]))
		which--;
	return which;
}

static struct entry *end_entry(const struct node *queue, int which)
{
	return which == HEAD ? queue->first : queue->last;
}

static struct entry *find(const struct node *dir, const char *name)
{
	uint64_t hash = hash_of(name);
	struct entry *entry = dir->count ? dir->buckets[hash & (dir->bucket_count - 1)] : NULL;
	while (entry && (entry->hash != hash || strcmp(entry->name, name)))
		entry = entry->chain;
	return entry;
}

static void grow(struct node *dir)
{
	dir->bucket_count = dir->bucket_count ? 2 * dir->bucket_count : 16;
	free(dir->buckets);
	dir->buckets = allocated(calloc(dir->bucket_count, sizeof *dir->buckets));
	for (struct entry *entry = dir->first; entry; entry = entry->next) {
		struct entry **bucket = &dir->buckets[entry->hash & (dir->bucket_count - 1)];
		entry->chain = *bucket;
		*bucket = entry;
	}
}

static void append(struct node *dir, const char *name, struct node *node)
{
	size_t length = strlen(name) + 1;
	struct entry *entry = allocated(malloc(sizeof *entry + length));
	memcpy(entry->name, name, length);
	entry->hash = hash_of(name);
	entry->node = node;
	entry->place = last_number++ + 4; /* behind ".", ".." and head */
	entry->next = NULL;
	entry->prev = dir->last;
	*(dir->last ? &dir->last->next : &dir->first) = entry;
	dir->last = entry;
	if (dir->count++ == dir->bucket_count) {
		grow(dir);
	} else {
		entry->chain = dir->buckets[entry->hash & (dir->bucket_count - 1)];
		dir->buckets[entry->hash & (dir->bucket_count - 1)] = entry;
	}
	node->attr.st_nlink++;
	node->attr.st_ctim = dir->attr.st_mtim = dir->attr.st_ctim = now();
}

static void drop(struct node *dir, struct entry *entry)
{
	struct entry **link = &dir->buckets[entry->hash & (dir->bucket_count - 1)];
	while (*link != entry)
		link = &(*link)->chain;
	*link = entry->chain;
	*(entry->prev ? &entry->prev->next : &dir->first) = entry->next;
	*(entry->next ? &entry->next->prev : &dir->last) = entry->prev;
	dir->count--;
	struct node *node = entry->node;
	node->attr.st_nlink--;
	node->attr.st_ctim = dir->attr.st_mtim = dir->attr.st_ctim = now();
	free(entry);
	hold(node); /* frees it if nothing else leads to it */
	unhold(node, 1);
}

/* What the kernel is told */

/* Whoever may write to a queue may write to its .pipe, and read from it. */
static const struct stat *attr_of(struct node *node)
{
	if (node->queue && node->which == PIPE) {
		mode_t writers = node->queue->attr.st_mode & 0222;
		node->attr.st_mode = S_IFREG | writers | writers << 1;
	}
	return &node->attr;
}

static struct fuse_entry_param answer(struct node *node)
{
	hold(node);
	return (struct fuse_entry_param){
		.ino = ino_of(node),
		.attr = *attr_of(node),
		.attr_timeout = node->queue ? 0 : LONG_S,
		.entry_timeout = node->queue ? LONG_S : 0,
	};
}

static void reply_entry(fuse_req_t req, struct node *node)
{
	struct fuse_entry_param entry = answer(node);
	fuse_reply_entry(req, &entry);
}

static void *tell_popped(void *unused)
{
	static struct popped batch[COLLECT_MOST];
	for (;;) {
		pthread_mutex_lock(&popped_lock);
		while (!popped_count)
			pthread_cond_wait(&popped_some, &popped_lock);
		pthread_mutex_unlock(&popped_lock);
		usleep(COLLECT_MS * 1000);
		pthread_mutex_lock(&popped_lock);
		size_t count = popped_count;
		memcpy(batch, popped, count * sizeof *batch);
		popped_count = 0;
		pthread_mutex_unlock(&popped_lock);
		for (struct popped *gone = batch; gone < batch + count; gone++) {
			size_t length = strlen(gone->name);
			if (gone->message)
				fuse_lowlevel_notify_delete(session, gone->queue, gone->message, gone->name, length);
			else
				fuse_lowlevel_notify_inval_entry(session, gone->queue, gone->name, length);
		}
	}
	return unused;
}

static void note_popped(struct node *queue, struct entry *entry)
{
	fuse_lowlevel_notify_inval_inode(session, ino_of(entry->node), -1, 0);
	pthread_mutex_lock(&popped_lock);
	if (popped_count < COLLECT_MOST) { /* the kernel finds out about others by itself */
		struct popped *gone = &popped[popped_count];
		gone->queue = ino_of(queue);
		gone->message = entry->node->attr.st_nlink > 1 ? 0 : ino_of(entry->node);
		strcpy(gone->name, entry->name);
		if (!popped_count++)
			pthread_cond_signal(&popped_some);
	}
	pthread_mutex_unlock(&popped_lock);
}

/* Requests: names */

static void do_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *dir = node_of(parent);
	int which = way_of(dir, name);
	struct entry *entry = which < 0 ? find(dir, name) : NULL;
	if (which < 0 ? !entry : !dir->count && which != PIPE)
		fuse_reply_err(req, ENOENT);
	else
		reply_entry(req, which < 0 ? entry->node : dir->way[which]);
}

/* The error that keeps a name from being made, or 0. */
static int refusal(const struct node *dir, const char *name, mode_t mode)
{
	if (S_ISDIR(mode) != (dir == &root) || (!S_ISDIR(mode) && !S_ISREG(mode)))
		return EPERM;
	if (!dir->attr.st_nlink)
		return ENOENT;
	if (strlen(name) > 255)
		return ENAMETOOLONG;
	int which = way_of(dir, name);
	if (which >= 0)
		return dir->count || which == PIPE ? EEXIST : EPERM;
	return find(dir, name) ? EEXIST : 0;
}

static struct node *make(fuse_req_t req, struct node *dir, const char *name, mode_t mode)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	int error = refusal(dir, name, mode);
	if (error) {
		fuse_reply_err(req, error);
		return NULL;
	}
	struct node *node = new_node(mode, caller->uid, caller->gid);
	append(dir, name, node);
	return node;
}

static void do_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct node *queue = make(req, node_of(parent), name, S_IFDIR | (mode & 07777));
	if (!queue)
		return;
	for (int which = HEAD; which < WAYS; which++) {
		struct node *way = new_node(which == PIPE ? S_IFREG : S_IFLNK | 0777,
			queue->attr.st_uid, queue->attr.st_gid);
		way->attr.st_nlink = 1;
		way->queue = queue;
		way->which = which;
		queue->way[which] = way;
	}
	reply_entry(req, queue);
}

static void do_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t dev)
{
	(void)dev;
	struct node *message = make(req, node_of(parent), name, mode);
	if (message)
		reply_entry(req, message);
}

static void open_node(struct node *node, struct fuse_file_info *fi, bool past_cache)
{
	fi->fh = past_cache && (fi->flags & O_ACCMODE) != O_RDONLY;
	node->past_cache += fi->fh;
	fi->direct_io = past_cache;
	fi->keep_cache = !past_cache;
	hold(node);
}

static void do_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct node *message = make(req, node_of(parent), name, S_IFREG | (mode & 07777));
	if (!message)
		return;
	open_node(message, fi, (fi->flags & O_ACCMODE) == O_WRONLY);
	struct fuse_entry_param entry = answer(message);
	fuse_reply_create(req, &entry, fi);
}

static void do_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct node *message = node_of(ino);
	int error = message->queue ? EPERM : refusal(node_of(parent), name, message->attr.st_mode);
	if (error || !message->attr.st_nlink) {
		fuse_reply_err(req, error ? error : ENOENT);
		return;
	}
	append(node_of(parent), name, message);
	reply_entry(req, message);
}

static void do_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct entry *entry = find(node_of(parent), name);
	int error = !entry ? ENOENT : !S_ISDIR(entry->node->attr.st_mode) ? ENOTDIR : 0;
	if (!error && entry->node->count)
		error = ENOTEMPTY;
	if (!error)
		drop(node_of(parent), entry);
	fuse_reply_err(req, error);
}

static void do_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct node *queue = node_of(parent);
	int which = way_of(queue, name);
	if (which == PIPE) {
		fuse_reply_err(req, EPERM);
		return;
	}
	struct entry *entry = which < 0 ? find(queue, name) : end_entry(queue, which);
	if (which >= 0 && entry) {
		pid_t tid = fuse_req_ctx(req)->pid;
		struct sighting *seen = &sightings[tid % 4096];
		if (seen->tid == tid && seen->queue == queue && seen->which == which && seen->opened) {
			seen->tid = 0;
			/* What the head was and isn't any more is gone; a tail may have got a successor. */
			while (entry && entry->node->attr.st_ino != seen->message)
				entry = which == TAIL ? entry->prev : NULL;
		}
		if (entry && entry->node->holds)
			note_popped(queue, entry);
	}
	if (entry && S_ISDIR(entry->node->attr.st_mode)) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	if (entry)
		drop(queue, entry);
	fuse_reply_err(req, entry ? 0 : ENOENT);
}

static void do_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct node *end = node_of(ino);
	struct entry *entry = end_entry(end->queue, end->which);
	if (!entry) { /* the kernel knows the link from better times: it must look it up again */
		fuse_reply_err(req, ESTALE);
		return;
	}
	pid_t tid = fuse_req_ctx(req)->pid;
	sightings[tid % 4096] = (struct sighting){
		tid, end->which, false, end->queue, entry->node->attr.st_ino};
	fuse_reply_readlink(req, entry->name);
}

static void do_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	hold(node_of(ino));
	fuse_reply_open(req, fi);
}

static void do_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	unhold(node_of(ino), 1);
	fuse_reply_err(req, 0);
}

/* Add a line to a listing unless it was there before; false if there is no room for it. */
static bool list(fuse_req_t req, char *page, size_t size, size_t *used, off_t after,
	const char *name, const struct node *node, uint64_t place)
{
	if (place <= (uint64_t)after)
		return true;
	size_t length =
		fuse_add_direntry(req, page + *used, size - *used, name, &node->attr, (off_t)place);
	if (length > size - *used)
		return false;
	*used += length;
	return true;
}

static void do_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t after, struct fuse_file_info *fi)
{
	(void)fi;
	struct node *dir = node_of(ino);
	bool has_ends = dir != &root && dir->count;
	size_t used = 0;
	char *page = allocated(malloc(size));
	bool room = list(req, page, size, &used, after, ".", dir, 1) &&
		list(req, page, size, &used, after, "..", &root, 2) &&
		(!has_ends || list(req, page, size, &used, after, ways[HEAD], dir->way[HEAD], 3));
	for (struct entry *entry = dir->first; room && entry; entry = entry->next)
		room = list(req, page, size, &used, after, entry->name, entry->node, entry->place);
	if (room && has_ends)
		list(req, page, size, &used, after, ways[TAIL], dir->way[TAIL], INT64_MAX);
	fuse_reply_buf(req, page, used);
	free(page);
}

/* Requests: content and attributes */

/* Change the size; what is new is zeroed up to *zeroed*, where the caller goes on. */
static int resize(struct node *node, off_t size, off_t zeroed)
{
	struct stat *attr = &node->attr;
	if (size > MOST_BYTES)
		return EFBIG;
	if ((size_t)size > node->room) {
		size_t room = (size_t)size > 2 * node->room ? (size_t)size : 2 * node->room;
		char *data = realloc(node->data, room);
		if (!data)
			return ENOSPC;
		node->data = data;
		node->room = room;
	}
	if (zeroed > attr->st_size)
		memset(node->data + attr->st_size, 0, (size_t)(zeroed - attr->st_size));
	attr->st_size = size;
	attr->st_blocks = (size + 511) / 512;
	attr->st_mtim = attr->st_ctim = now();
	return 0;
}

static void put(fuse_req_t req, struct node *queue, const char *data, size_t size)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	char name[17];
	int error = !queue->attr.st_nlink ? EIDRM : size > PIPE_BYTES ? EMSGSIZE : 0;
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	struct node *message = new_node(S_IFREG | 0600, caller->uid, caller->gid);
	message->data = allocated(malloc(size));
	message->room = size;
	resize(message, (off_t)size, 0);
	memcpy(message->data, data, size);
	snprintf(name, sizeof name, "%016" PRIx64, last_number);
	append(queue, name, message);
	fuse_reply_write(req, size);
}

static void take(fuse_req_t req, struct node *queue, size_t size, int flags)
{
	struct entry *entry = queue->first;
	struct node *message = entry ? entry->node : NULL;
	int error = !queue->attr.st_nlink ? EIDRM : !entry && flags & O_NONBLOCK ? EAGAIN : 0;
	if (message && (size_t)message->attr.st_size > size)
		error = EMSGSIZE;
	if (error || !message) {
		fuse_reply_err(req, error); /* 0: the end of the file */
		return;
	}
	fuse_reply_buf(req, message->data, (size_t)message->attr.st_size);
	if (message->holds)
		note_popped(queue, entry);
	drop(queue, entry);
}

static void do_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct node *node = node_of(ino);
	if (node->queue) { /* .pipe */
		fi->direct_io = fi->nonseekable = true;
		hold(node);
		fuse_reply_open(req, fi);
		return;
	}
	pid_t tid = fuse_req_ctx(req)->pid;
	struct sighting *seen = &sightings[tid % 4096];
	if (seen->tid == tid && seen->message == node->attr.st_ino)
		seen->opened = true;
	if (fi->flags & O_TRUNC)
		resize(node, 0, 0);
	open_node(node, fi, node->past_cache);
	fuse_reply_open(req, fi);
}

static void do_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	node_of(ino)->past_cache -= fi->fh;
	unhold(node_of(ino), 1);
	fuse_reply_err(req, 0);
}

static void do_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	struct node *node = node_of(ino);
	if (node->queue) {
		take(req, node->queue, size, fi->flags);
		return;
	}
	off_t left = node->attr.st_size - offset;
	size_t count = left <= 0 ? 0 : (size_t)left < size ? (size_t)left : size;
	node->attr.st_atim = now();
	fuse_reply_buf(req, count ? node->data + offset : NULL, count);
}

static void do_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
	struct fuse_file_info *fi)
{
	(void)fi;
	struct node *node = node_of(ino);
	if (node->queue) {
		put(req, node->queue, data, size);
		return;
	}
	off_t end = offset + (off_t)size;
	int error = resize(node, end > node->attr.st_size ? end : node->attr.st_size, offset);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	memcpy(node->data + offset, data, size);
	fuse_reply_write(req, size);
}

static void do_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)fi;
	struct node *node = node_of(ino);
	if (S_ISLNK(node->attr.st_mode) && !node->queue->count)
		fuse_reply_err(req, ESTALE);
	else
		fuse_reply_attr(req, attr_of(node), node->queue ? 0 : LONG_S);
}

static void do_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int what, struct fuse_file_info *fi)
{
	struct stat *attr = &node_of(ino)->attr;
	int error = S_ISLNK(attr->st_mode) ? EOPNOTSUPP : node_of(ino)->queue ? EPERM : 0;
	if (!error && what & FUSE_SET_ATTR_SIZE)
		error = resize(node_of(ino), wanted->st_size, wanted->st_size);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	if (what & FUSE_SET_ATTR_MODE)
		attr->st_mode = (attr->st_mode & S_IFMT) | (wanted->st_mode & 07777);
	attr->st_ctim = now();
	do_getattr(req, ino, fi);
}

static void do_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
	unhold(node_of(ino), count);
	fuse_reply_none(req);
}

static void do_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		unhold(node_of(forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

/* Not handled, so that the kernel asks only once: flush, fsync, access, extended attributes. */
static const struct fuse_lowlevel_ops operations = {
	.lookup = do_lookup, .forget = do_forget, .forget_multi = do_forget_multi,
	.getattr = do_getattr, .setattr = do_setattr, .readlink = do_readlink,
	.mknod = do_mknod, .mkdir = do_mkdir, .unlink = do_unlink, .rmdir = do_rmdir,
	.link = do_link, .create = do_create, .open = do_open, .release = do_release,
	.read = do_read, .write = do_write,
	.opendir = do_opendir, .readdir = do_readdir, .releasedir = do_releasedir,
};

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: floor MOUNTPOINT\n");
		return 2;
	}
	char *options[] = {argv[0], "-o", "default_permissions,fsname=floor,subtype=floor", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, options);
	init_node(&root, S_IFDIR | 01777, getuid(), getgid());
	root.attr.st_nlink = 2;
	root.holds = 1;
	session = fuse_session_new(&args, &operations, sizeof operations, NULL);
	if (!session || fuse_set_signal_handlers(session) || fuse_session_mount(session, argv[1]))
		return 1;
	pthread_t teller;
	if (!pthread_create(&teller, NULL, tell_popped, NULL))
		fuse_session_loop(session);
	fuse_session_unmount(session);
	_exit(0); /* nothing is given back: the thread may be telling the kernel something */
}
