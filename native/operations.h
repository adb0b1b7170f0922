#pragma once

#include <cstdint>

namespace nbdcork {

// The kinds of operations, as lib/backend/file/io/workers.ts numbers them.
enum class Kind : uint8_t {
  kRead,
  kWrite,
  kSync,
  kAllocate,
  kFindData,
  kTruncate,
  kSize,
  kClose,
  kLock,
  kUnlock,
  kIsLocked,
  kUncache,
  kLast
};

// Of transfers: the descriptor is open with O_DIRECT.
constexpr int64_t kDirect = 1;
// Of kUncache: what was written to the range may not be on the device yet.
constexpr int64_t kWriteBack = 1;

struct Operation {
  Kind kind;
  int fd;
  double ticket;
  int64_t position;
  int64_t length;
  int64_t mode;
  uint8_t* data;
};

struct Result {
  double ticket;
  // A count, 0, or -errno.
  int64_t value;
  // Bytes that were transferred before an error.
  int64_t done;
};

// Does the operation on the calling thread, which may wait for a device.
Result Perform(const Operation& operation);

}  // namespace nbdcork
