#include "memory.h"

#include <sys/mman.h>

#include "call.h"

namespace nbdcork {

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

}  // namespace nbdcork
