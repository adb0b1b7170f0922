#pragma once

#include <node_api.h>

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value ExitNow(napi_env env, napi_callback_info info);

}  // namespace nbdcork
