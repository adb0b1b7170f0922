#include "memory.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "call.h"

namespace nbdcork {

namespace {

// MFD_CLOEXEC: the kernel's headers that define it contradict those of an older musl.
constexpr unsigned kMemoryFileFlags = 1;

}  // namespace

napi_value OffsetIn(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  Bytes bytes;
  int64_t unit;
  if (!call.Uint8Array(0, &bytes) ||
      !call.Unsigned(1, kSafeIntegerMax, "expected a number of bytes", &unit)) {
    return nullptr;
  }
  if (unit == 0) {
    ThrowRange(env, "expected a unit of at least one byte");
    return nullptr;
  }
  return call.Return(reinterpret_cast<uintptr_t>(bytes.data) % unit);
}

napi_value AdviseHugePages(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  Bytes bytes;
  if (!call.Uint8Array(0, &bytes)) return nullptr;
  return call.Return(ResultOf(madvise(bytes.data, bytes.length, MADV_HUGEPAGE)));
}

napi_value DiscardPages(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  Bytes bytes;
  if (!call.Uint8Array(0, &bytes)) return nullptr;
  // Only whole pages: others may hold something else too.
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t start = (reinterpret_cast<uintptr_t>(bytes.data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(bytes.data) + bytes.length) / page * page;
  if (end <= start) return call.Return(0);
  return call.Return(ResultOf(madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED)));
}

napi_value CreateMemoryFile(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int64_t bytes;
  if (!call.Unsigned(0, kSafeIntegerMax, "expected a number of bytes", &bytes)) return nullptr;
  // The system call: an older musl lacks the function.
  const auto fd = static_cast<int>(::syscall(SYS_memfd_create, "nbdcork", kMemoryFileFlags));
  if (fd < 0) return call.Return(-errno);
  if (::ftruncate(fd, bytes) < 0) {
    const int error = errno;
    ::close(fd);
    return call.Return(-error);
  }
  return call.Return(fd);
}

}  // namespace nbdcork
