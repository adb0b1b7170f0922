#include "process.h"

#include <unistd.h>

#include "call.h"

namespace nbdcork {

// exit(3) would wait for threads that are in a system call.
napi_value ExitNow(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int64_t status;
  if (!call.Unsigned(0, 255, "expected an exit status", &status)) return nullptr;
  ::_exit(static_cast<int>(status));
}

}  // namespace nbdcork
