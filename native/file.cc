#include "file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstring>

#include "call.h"

// Of linux/fs.h, which older C libraries do not allow beside sys/mount.h.
#ifndef BLKPBSZGET
#define BLKPBSZGET _IO(0x12, 123)
#endif
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

// Of linux/stat.h: the headers of older systems lack some of these.
constexpr uint32_t kStatxTypeAndSize = 0x1 | 0x200;
constexpr uint32_t kStatxDirectAlignment = 0x2000;
constexpr int kStatxDontSync = 0x4000;
constexpr size_t kStatxBytes = 256;
// Where the fields are in `struct statx`.
constexpr size_t kMaskAt = 0x0;
constexpr size_t kModeAt = 0x1c;
constexpr size_t kSizeAt = 0x28;
constexpr size_t kMemoryAlignmentAt = 0x98;
constexpr size_t kOffsetAlignmentAt = 0x9c;

constexpr size_t kBlockSizes = 4;
constexpr double kUnknown = -1;

int64_t DeviceSize(int fd) {
  uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) < 0) return -errno;
  return size > kSafeIntegerMax ? -EOVERFLOW : static_cast<int64_t>(size);
}

struct alignas(8) StatxBuffer {
  unsigned char bytes[kStatxBytes] = {};

  template <typename T>
  T At(size_t offset) const {
    T value;
    std::memcpy(&value, bytes + offset, sizeof(value));
    return value;
  }
};

// 0 or -errno.
int Statx(int fd, int flags, uint32_t mask, StatxBuffer* status) {
#ifdef SYS_statx
  const auto result = ::syscall(SYS_statx, fd, "", AT_EMPTY_PATH | flags, mask, status->bytes);
  if (result < 0) return -errno;
  return (status->At<uint32_t>(kMaskAt) & mask) == mask ? 0 : -EOPNOTSUPP;
#else
  static_cast<void>(fd), static_cast<void>(flags), static_cast<void>(mask);
  static_cast<void>(status);
  return -ENOSYS;
#endif
}

void DirectAlignment(int fd, double* memory, double* offset) {
  *memory = *offset = kUnknown;
  StatxBuffer status;
  if (Statx(fd, 0, kStatxDirectAlignment, &status) < 0) return;
  *memory = status.At<uint32_t>(kMemoryAlignmentAt);
  *offset = status.At<uint32_t>(kOffsetAlignmentAt);
}

// As far as this machine knows: asking the server of a network file system may take forever.
int64_t KnownSizeOf(int fd) {
  StatxBuffer status;
  const int result = Statx(fd, kStatxDontSync, kStatxTypeAndSize, &status);
  if (result < 0) return result;
  if (S_ISBLK(status.At<uint16_t>(kModeAt))) return DeviceSize(fd);
  return status.At<int64_t>(kSizeAt);
}

}  // namespace

int64_t SizeOf(int fd) {
  struct stat status;
  int result;
  do {
    result = ::fstat(fd, &status);
  } while (result < 0 && errno == EINTR);
  if (result < 0) return -errno;
  return S_ISBLK(status.st_mode) ? DeviceSize(fd) : static_cast<int64_t>(status.st_size);
}

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
  if (::syscall(SYS_cachestat, fd, &range, &found, 0) < 0) return call.Return(-errno);
  // The last page of a file that has become shorter still counts, with zeros after the end.
  const int64_t size = KnownSizeOf(fd);
  if (size < 0) return call.Return(size);
  return call.Return(position + length > size ? 0 : static_cast<int64_t>(found.cache));
}

napi_value BlockDeviceSize(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  return call.Return(DeviceSize(fd));
}

napi_value BlockSizes(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  int fd;
  Numbers sizes;
  if (!call.Descriptor(0, &fd) || !call.Float64Array(1, kBlockSizes, &sizes)) return nullptr;
  int logical;
  unsigned int physical;
  const bool device =
      ::ioctl(fd, BLKSSZGET, &logical) == 0 && ::ioctl(fd, BLKPBSZGET, &physical) == 0;
  sizes.data[0] = device ? logical : kUnknown;
  sizes.data[1] = device ? physical : kUnknown;
  DirectAlignment(fd, &sizes.data[2], &sizes.data[3]);
  return call.Return(0);
}

}  // namespace nbdcork
