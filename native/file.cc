#include "file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "call.h"

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 0x00000008
#endif

#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

namespace nbdcork {

namespace {

// The structures of cachestat(2), which the headers of older systems lack.
struct CachestatRange {
  uint64_t offset;
  uint64_t length;
};

struct Cachestat {
  uint64_t cache;
  uint64_t dirty;
  uint64_t writeback;
  uint64_t evicted;
  uint64_t recently_evicted;
};

// The raw system call, since musl has preadv2() only since 1.2.5.
int64_t ReadCached(int fd, const iovec* vector, int64_t position) {
  const auto low = static_cast<unsigned long>(position);
  const auto high = static_cast<unsigned long>(static_cast<uint64_t>(position) >> 32);
  long count;
  do {
    count = ::syscall(SYS_preadv2, fd, vector, 1, low, high, RWF_NOWAIT);
  } while (count < 0 && errno == EINTR);
  return ResultOf(count);
}

}  // namespace

int64_t FindRanges(int fd, int64_t offset, int64_t end, const Numbers& found) {
  size_t count = 0;
  while (offset < end && count + 2 <= found.length) {
    int64_t start = ResultOf(::lseek(fd, offset, SEEK_DATA));
    int64_t stop = start < 0 ? start : ResultOf(::lseek(fd, start, SEEK_HOLE));
    // There is no data after `offset`, or the file was truncated meanwhile.
    const bool last = stop == -ENXIO;
    if (last) start = stop = ResultOf(::lseek(fd, 0, SEEK_END));
    if (stop < 0) return stop;
    if (stop > kSafeIntegerMax) return -EOVERFLOW;
    if (last && stop <= offset) return count > 0 ? static_cast<int64_t>(count) : -ENXIO;
    // The data was punched out meanwhile: return what was found.
    if (stop <= offset) break;
    found.data[count++] = static_cast<double>(start);
    found.data[count++] = static_cast<double>(stop);
    offset = stop;
  }
  return static_cast<int64_t>(count);
}

napi_value PreadNoWait(napi_env env, napi_callback_info info) {
  Call<5> call(env, info);
  int fd;
  Bytes bytes;
  int64_t at, length, position;
  if (!call.Descriptor(0, &fd) || !call.Uint8Array(1, &bytes)) return nullptr;
  const auto size = static_cast<int64_t>(bytes.length);
  if (!call.Unsigned(2, size, "expected an offset within the buffer", &at) ||
      !call.Unsigned(3, size - at, "expected a length within the buffer", &length) ||
      !call.Unsigned(4, kSafeIntegerMax, "expected a position in the file", &position)) {
    return nullptr;
  }
  const iovec vector = {bytes.data + at, static_cast<size_t>(length)};
  return call.Return(ReadCached(fd, &vector, position));
}

napi_value CachedPages(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  int fd;
  int64_t position, length;
  if (!call.Descriptor(0, &fd) ||
      !call.Unsigned(1, kSafeIntegerMax, "expected a position in the file", &position) ||
      !call.Unsigned(2, kSafeIntegerMax, "expected a number of bytes", &length)) {
    return nullptr;
  }
  CachestatRange range = {static_cast<uint64_t>(position), static_cast<uint64_t>(length)};
  Cachestat found = {};
  const long result = ::syscall(SYS_cachestat, fd, &range, &found, 0);
  return call.Return(result < 0 ? -errno : static_cast<int64_t>(found.cache));
}

napi_value BlockDeviceSize(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) < 0) return call.Return(-errno);
  return call.Return(size > kSafeIntegerMax ? -EOVERFLOW : static_cast<int64_t>(size));
}

}  // namespace nbdcork
