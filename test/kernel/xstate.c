/*
 * Lets Debian's user-mode-linux run on a CPU whose register state is larger than the 2,696 bytes
 * that this kernel knows of (AMX): the kernel of the host takes that state only as a whole. Loaded
 * by LD_PRELOAD. What the kernel asks for is a part of the whole, and is written back into it.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PEEK_FIRST = 1, PEEK_LAST = 3, GET_REGISTERS = 0x4204, SET_REGISTERS = 0x4205 };
static const long XSTATE = 0x202;

static long whole_state(long request, long pid, struct iovec *part) {
  return syscall(SYS_ptrace, request, pid, XSTATE, part);
}

long ptrace(int request, ...) {
  static char bytes[65536] __attribute__((aligned(64)));
  va_list list;
  va_start(list, request);
  long pid = va_arg(list, int);
  void *address = va_arg(list, void *);
  void *data = va_arg(list, void *);
  va_end(list);
  if ((request == GET_REGISTERS || request == SET_REGISTERS) && (long)address == XSTATE) {
    struct iovec *asked = data;
    struct iovec whole = {bytes, sizeof bytes};
    if (whole_state(GET_REGISTERS, pid, &whole) < 0) return -1;
    size_t length = asked->iov_len < whole.iov_len ? asked->iov_len : whole.iov_len;
    if (request == SET_REGISTERS) {
      memcpy(bytes, asked->iov_base, length);
      return whole_state(SET_REGISTERS, pid, &whole);
    }
    memcpy(asked->iov_base, bytes, length);
    asked->iov_len = length;
    return 0;
  }
  if (request < PEEK_FIRST || request > PEEK_LAST) {
    return syscall(SYS_ptrace, request, pid, address, data);
  }
  long word;
  if (syscall(SYS_ptrace, request, pid, address, &word) < 0) return -1;
  errno = 0;
  return word;
}
