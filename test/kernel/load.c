/*
 * A process of a container: joins a cgroup, does one thing there, says `ready`, and stays.
 *
 *   load CGROUP hold MIB            takes so much memory and keeps it
 *   load CGROUP grow MIB PER_SECOND the same, so many MiB a second
 *   load CGROUP churn MIB MORE      holds so much, takes and gives back so much more, without an
 *                                   end; a line for each tenth of a second, with the rounds in it
 *   load CGROUP burn                one CPU
 *   load CGROUP read FILE           reads a file, which fills the page cache
 *   load CGROUP reread FILE         the same without an end
 *   load CGROUP make DIRECTORY N    makes so many empty files, which fills the slab
 *   load CGROUP walk DIRECTORY      looks at every file below it: the same, with what is there
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20 };
static char block[MIB];

static void join(const char *cgroup) {
  char path[4096];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  int file = open(path, O_WRONLY);
  if (file < 0 || write(file, "0", 1) != 1) {
    perror(path);
    exit(2);
  }
  close(file);
}

static void take(long mib, long per_second) {
  char *memory = mmap(NULL, (size_t)mib * MIB, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) exit(3);
  for (long each = 0; each < mib; each++) {
    memset(memory + each * MIB, (int)each + 1, MIB);
    if (per_second > 0) usleep((useconds_t)(1000000 / per_second));
  }
}

/* Each MiB is asked for by itself, and the rounds that came about are told, not aimed at. */
static void churn(long mib, long more) {
  take(mib, 0);
  long rounds = 0;
  struct timespec began, now;
  clock_gettime(CLOCK_MONOTONIC, &began);
  for (;;) {
    char *memory = mmap(NULL, (size_t)more * MIB, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) exit(3);
    memset(memory, 1, (size_t)more * MIB);
    munmap(memory, (size_t)more * MIB);
    rounds++;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double s = now.tv_sec - began.tv_sec + (now.tv_nsec - began.tv_nsec) / 1e9;
    if (s < 0.1) continue;
    printf("%.2f\n", rounds / s);
    fflush(stdout);
    rounds = 0;
    began = now;
  }
}

static void scan(const char *path) {
  int file = open(path, O_RDONLY);
  if (file < 0) exit(4);
  while (read(file, block, MIB) > 0) continue;
  close(file);
}

static void rescan(const char *path) {
  puts("ready");
  fflush(stdout);
  for (;;) scan(path);
}

static void create(const char *directory, long count) {
  char path[4096];
  for (long each = 0; each < count; each++) {
    snprintf(path, sizeof path, "%s/%ld", directory, each);
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    if (file < 0) exit(5);
    close(file);
  }
}

static int look(const char *path, const struct stat *found, int kind, struct FTW *where) {
  (void)path, (void)found, (void)kind, (void)where;
  return 0;
}

int main(int count, char **words) {
  if (count < 3) return 64;
  const char *what = words[2];
  join(words[1]);
  if (!strcmp(what, "hold") && count > 3) take(atol(words[3]), 0);
  else if (!strcmp(what, "grow") && count > 4) take(atol(words[3]), atol(words[4]));
  else if (!strcmp(what, "churn") && count > 4) churn(atol(words[3]), atol(words[4]));
  else if (!strcmp(what, "read") && count > 3) scan(words[3]);
  else if (!strcmp(what, "reread") && count > 3) rescan(words[3]);
  else if (!strcmp(what, "make") && count > 4) create(words[3], atol(words[4]));
  else if (!strcmp(what, "walk") && count > 3) nftw(words[3], look, 16, FTW_PHYS | FTW_MOUNT);
  else if (strcmp(what, "burn")) return 64;
  puts("ready");
  fflush(stdout);
  while (!strcmp(what, "burn")) continue;
  for (;;) pause();
}
