/*
 * The least that the same reads take: no daemon can be below it. Reads the files that LIST names,
 * a line each, ROUNDS times over: with kept descriptors; the same and every number summed up; and
 * with open, read and close. Prints the median microseconds of a round of each.
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FILES = 20000, BUFFER_BYTES = 32768, WAYS = 3, MOST_ROUNDS = 1000 };

static char *names[MOST_FILES];
static int descriptors[MOST_FILES];
static int count;
static char buffer[BUFFER_BYTES];
static volatile unsigned long long sink;

static double now_us(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * 1e6 + at.tv_nsec / 1e3;
}

static void check(long result, const char *what) {
  if (result >= 0) return;
  perror(what);
  exit(1);
}

static void sum_numbers(long length) {
  unsigned long long sum = 0, number = 0;
  for (long at = 0; at < length; at++) {
    if (isdigit((unsigned char)buffer[at])) number = number * 10 + (buffer[at] - '0');
    else { sum += number; number = 0; }
  }
  sink += sum + number;
}

static void read_all(int way) {
  for (int at = 0; at < count; at++) {
    int descriptor = way == 2 ? open(names[at], O_RDONLY) : descriptors[at];
    check(descriptor, names[at]);
    long length = pread(descriptor, buffer, BUFFER_BYTES, 0);
    check(length, names[at]);
    if (way == 1) sum_numbers(length);
    if (way == 2) close(descriptor);
  }
}

static int ascending(const void *one, const void *other) {
  double difference = *(const double *)one - *(const double *)other;
  return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  int rounds = atoi(argv[2]);
  FILE *list = fopen(argv[1], "r");
  if (list == NULL || rounds < 1 || rounds > MOST_ROUNDS) return 64;
  char *line = NULL;
  size_t size = 0;
  while (count < MOST_FILES && getline(&line, &size, list) > 0) {
    line[strcspn(line, "\n")] = '\0';
    names[count] = strdup(line);
    check(descriptors[count] = open(line, O_RDONLY), line);
    count++;
  }
  static double took[WAYS][MOST_ROUNDS];
  for (int round = 0; round < rounds; round++) {
    for (int way = 0; way < WAYS; way++) {
      double from = now_us();
      read_all(way);
      took[way][round] = now_us() - from;
    }
  }
  for (int way = 0; way < WAYS; way++) {
    qsort(took[way], rounds, sizeof(double), ascending);
    printf("%.3f\n", took[way][rounds / 2]);
  }
  return 0;
}
