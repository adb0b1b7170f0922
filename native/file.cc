#include "file.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <utility>

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

// Runs `work` in libuv's thread pool. Its result, a number, resolves the promise.
template <typename Work>
class Worker : public Napi::AsyncWorker {
 public:
  Worker(napi_env env, const char* name, napi_deferred deferred, Work work)
      : Napi::AsyncWorker(env, name), deferred_(deferred), work_(std::move(work)) {}

 protected:
  void Execute() override { result_ = work_(); }

  // Plain N-API, since Napi aborts the process if the promise cannot be resolved,
  // as in a worker thread that is being terminated.
  void OnOK() override {
    napi_value result;
    if (napi_create_int64(Env(), result_, &result) != napi_ok) return;
    napi_resolve_deferred(Env(), deferred_, result);
  }

 private:
  napi_deferred deferred_;
  Work work_;
  int64_t result_ = 0;
};

// Returns the promise.
template <typename Work>
napi_value RunInPool(napi_env env, const char* name, Work work) {
  napi_deferred deferred;
  napi_value promise;
  if (napi_create_promise(env, &deferred, &promise) != napi_ok) return nullptr;
  // The worker deletes itself when its work is done.
  auto* worker = new Worker<Work>(env, name, deferred, std::move(work));
  worker->Queue();
  return promise;
}

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
  // Punching a hole may take milliseconds.
  return RunInPool(env, "nbdcork.fallocate", [fd, mode, offset, length] {
    return ResultOf(::fallocate(fd, static_cast<int>(mode), offset, length));
  });
}

napi_value FindData(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  int fd;
  int64_t offset, end;
  Numbers found;
  if (!call.Descriptor(0, &fd) ||
      !call.Unsigned(1, kSafeIntegerMax, "expected an offset", &offset) ||
      !call.Unsigned(2, kSafeIntegerMax, "expected an end", &end) ||
      !call.Float64Array(3, 0, &found)) {
    return nullptr;
  }
  // The reference keeps the borrowed memory alive.
  auto array = Napi::Persistent(Napi::Object(env, call.argument(3)));
  // On tmpfs, finding the end of a long range of data takes milliseconds.
  return RunInPool(env, "nbdcork.findData", [array = std::move(array), found, fd, offset, end] {
    return FindRanges(fd, offset, end, found);
  });
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
