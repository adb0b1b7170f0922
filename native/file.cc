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

// The system call itself: musl has the function only since 1.2.5.
int64_t ReadCached(int fd, const iovec* vector, int64_t position) {
  const auto low = static_cast<unsigned long>(position);
  const auto high = static_cast<unsigned long>(static_cast<uint64_t>(position) >> 32);
  long count;
  do {
    count = ::syscall(SYS_preadv2, fd, vector, 1, low, high, RWF_NOWAIT);
  } while (count < 0 && errno == EINTR);
  return ResultOf(count);
}

napi_value Seek(napi_env env, napi_callback_info info, int whence) {
  Call<2> call(env, info);
  int fd;
  int64_t offset;
  if (!call.Descriptor(0, &fd) ||
      !call.Unsigned(1, kSafeIntegerMax, "expected an offset", &offset)) {
    return nullptr;
  }
  const int64_t found = ResultOf(::lseek(fd, offset, whence));
  return call.Return(found > kSafeIntegerMax ? -EOVERFLOW : found);
}

// A punched hole may take milliseconds, hence libuv's pool.
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

  // Plain N-API: in a worker thread that is being terminated the promise can no
  // longer be resolved, and Napi would end the process for it.
  void OnOK() override {
    napi_value result;
    if (napi_create_int64(Env(), result_, &result) != napi_ok) return;
    napi_resolve_deferred(Env(), deferred_, result);
  }

 private:
  napi_deferred deferred_;
  int fd_;
  int mode_;
  off_t offset_;
  off_t length_;
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
  if (!call.Unsigned(2, size, "expected a place within the buffer", &at) ||
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
  // It deletes itself when its work is done.
  auto* worker = new FallocateWorker(env, deferred, fd, static_cast<int>(mode), offset, length);
  worker->Queue();
  return promise;
}

napi_value SeekData(napi_env env, napi_callback_info info) { return Seek(env, info, SEEK_DATA); }

napi_value SeekHole(napi_env env, napi_callback_info info) { return Seek(env, info, SEEK_HOLE); }

napi_value BlockDeviceSize(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) < 0) return call.Return(-errno);
  return call.Return(size > kSafeIntegerMax ? -EOVERFLOW : static_cast<int64_t>(size));
}

}  // namespace nbdcork
