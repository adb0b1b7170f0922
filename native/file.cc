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

namespace nbdcork {

namespace {

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

// Plain N-API, since Napi aborts the process if the promise cannot be resolved,
// as in a worker thread that is being terminated.
void Resolve(napi_env env, napi_deferred deferred, int64_t number) {
  napi_value result;
  if (napi_create_int64(env, number, &result) != napi_ok) return;
  napi_resolve_deferred(env, deferred, result);
}

// Punching a hole may take milliseconds, so it runs in libuv's thread pool.
class FallocateWorker : public Napi::AsyncWorker {
 public:
  FallocateWorker(napi_env env, napi_deferred deferred, int fd, int mode, off_t offset,
                  off_t length)
      : Napi::AsyncWorker(env, "nbdcork.fallocate"),
        deferred_(deferred),
        fd_(fd),
        mode_(mode),
        offset_(offset),
        length_(length) {}

 protected:
  void Execute() override { result_ = ResultOf(::fallocate(fd_, mode_, offset_, length_)); }

  void OnOK() override { Resolve(Env(), deferred_, result_); }

 private:
  napi_deferred deferred_;
  int fd_;
  int mode_;
  off_t offset_;
  off_t length_;
  int64_t result_ = 0;
};

// Fills `found` with pairs: where a range of data between `offset` and `end` begins
// and where it ends. An empty range marks the end of the file. Returns the count of
// numbers, or -errno. This moves the file position, which is not used elsewhere.
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

// On tmpfs, finding the end of a long range of data takes milliseconds.
class FindDataWorker : public Napi::AsyncWorker {
 public:
  FindDataWorker(napi_env env, napi_deferred deferred, napi_value array, const Numbers& found,
                 int fd, int64_t offset, int64_t end)
      : Napi::AsyncWorker(env, "nbdcork.findData"),
        deferred_(deferred),
        array_(Napi::Persistent(Napi::Object(env, array))),
        found_(found),
        fd_(fd),
        offset_(offset),
        end_(end) {}

 protected:
  void Execute() override { result_ = FindRanges(fd_, offset_, end_, found_); }

  void OnOK() override { Resolve(Env(), deferred_, result_); }

 private:
  napi_deferred deferred_;
  // Keeps the borrowed memory alive.
  Napi::ObjectReference array_;
  Numbers found_;
  int fd_;
  int64_t offset_;
  int64_t end_;
  int64_t result_ = 0;
};

}  // namespace

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

napi_value Fallocate(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  int fd;
  int64_t mode, offset, length;
  if (!call.Descriptor(0, &fd) || !call.Unsigned(1, INT32_MAX, "expected mode flags", &mode) ||
      !call.Unsigned(2, kSafeIntegerMax, "expected an offset", &offset) ||
      !call.Unsigned(3, kSafeIntegerMax, "expected a length", &length)) {
    return nullptr;
  }
  napi_deferred deferred;
  napi_value promise;
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) return nullptr;
  // The worker deletes itself when its work is done.
  auto* worker = new FallocateWorker(env, deferred, fd, static_cast<int>(mode), offset, length);
  worker->Queue();
  return promise;
}

napi_value FindData(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  int fd;
  int64_t offset, end;
  Numbers found;
  if (!call.Descriptor(0, &fd) ||
      !call.Unsigned(1, kSafeIntegerMax, "expected an offset", &offset) ||
      !call.Unsigned(2, kSafeIntegerMax, "expected an end", &end) ||
      !call.Float64Array(3, &found)) {
    return nullptr;
  }
  napi_deferred deferred;
  napi_value promise;
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) return nullptr;
  // The worker deletes itself when its work is done.
  auto* worker = new FindDataWorker(env, deferred, call.argument(3), found, fd, offset, end);
  worker->Queue();
  return promise;
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
