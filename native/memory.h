#pragma once

#include <napi.h>

// lib/native/addon.ts says what each takes and returns.
namespace nbdcork {

napi_value PageOffset(napi_env env, napi_callback_info info);

}  // namespace nbdcork
