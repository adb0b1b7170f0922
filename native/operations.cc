#include "operations.h"

#include <fcntl.h>
#include <unistd.h>

#include "call.h"
#include "file.h"
#include "lock.h"

namespace nbdcork {

namespace {

constexpr int64_t kSectorBytes = 512;

// Reads or writes all of the range. A read that comes short has reached the end of the file.
Result Transfer(const Operation& operation) {
  int64_t done = 0;
  while (done < operation.length) {
    const auto length = static_cast<size_t>(operation.length - done);
    const off_t position = operation.position + done;
    const ssize_t count = operation.kind == Kind::kRead
                              ? ::pread(operation.fd, operation.data + done, length, position)
                              : ::pwrite(operation.fd, operation.data + done, length, position);
    if (count < 0 && errno == EINTR) continue;
    // The end of a file within a block: the read before this one has reached it.
    if (count < 0 && errno == EINVAL && operation.kind == Kind::kRead && done % kSectorBytes != 0)
      break;
    if (count < 0) return {operation.ticket, -errno, done};
    if (count == 0) break;
    done += count;
  }
  return {operation.ticket, done, done};
}

template <typename Call>
int64_t Retried(Call call) {
  int64_t result;
  do {
    result = ResultOf(call());
  } while (result == -EINTR);
  return result;
}

// Only pages that are on the device leave the cache.
int64_t Uncache(const Operation& operation) {
  const int fd = operation.fd;
  const int64_t position = operation.position;
  const int64_t length = operation.length;
  if (operation.mode == kWriteBack) {
    const unsigned int flags =
        SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
    const int64_t result = Retried([&] { return ::sync_file_range(fd, position, length, flags); });
    if (result < 0) return result;
  }
  return -::posix_fadvise(fd, position, length, POSIX_FADV_DONTNEED);
}

}  // namespace

Result Perform(const Operation& operation) {
  const int fd = operation.fd;
  switch (operation.kind) {
    case Kind::kRead:
    case Kind::kWrite:
      return Transfer(operation);
    case Kind::kSync:
      return {operation.ticket, Retried([fd] { return ::fdatasync(fd); }), 0};
    case Kind::kAllocate: {
      const auto mode = static_cast<int>(operation.mode);
      return {operation.ticket,
              Retried([&] { return ::fallocate(fd, mode, operation.position, operation.length); }),
              0};
    }
    case Kind::kFindData: {
      const Numbers found = {reinterpret_cast<double*>(operation.data),
                             static_cast<size_t>(operation.mode)};
      return {operation.ticket,
              FindRanges(fd, operation.position, operation.position + operation.length, found), 0};
    }
    case Kind::kTruncate:
      return {operation.ticket, Retried([&] { return ::ftruncate(fd, operation.position); }), 0};
    case Kind::kSize:
      return {operation.ticket, SizeOf(fd), 0};
    case Kind::kClose:
      // Not repeated: Linux has closed it even after EINTR.
      return {operation.ticket, ResultOf(::close(fd)), 0};
    case Kind::kLock:
    case Kind::kUnlock:
      return {operation.ticket, LockByte(fd, operation.position, operation.kind == Kind::kLock), 0};
    case Kind::kIsLocked:
      return {operation.ticket, ByteIsLocked(fd, operation.position), 0};
    case Kind::kUncache:
      return {operation.ticket, Uncache(operation), 0};
    case Kind::kLast:
      break;
  }
  return {operation.ticket, -ENOSYS, 0};
}

}  // namespace nbdcork
