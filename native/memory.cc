#include "memory.h"

#include "call.h"

namespace nbdcork {

namespace {

// Of every architecture that Node.js runs on, or a multiple of it.
constexpr uintptr_t kPageBytes = 4096;

}  // namespace

napi_value PageOffset(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  Bytes bytes;
  if (!call.Uint8Array(0, &bytes)) return nullptr;
  return call.Return(reinterpret_cast<uintptr_t>(bytes.data) % kPageBytes);
}

}  // namespace nbdcork
