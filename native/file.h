#pragma once

#include <napi.h>

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value PreadNoWait(napi_env env, napi_callback_info info);
napi_value Fallocate(napi_env env, napi_callback_info info);
napi_value FindData(napi_env env, napi_callback_info info);
napi_value BlockDeviceSize(napi_env env, napi_callback_info info);

}  // namespace nbdcork
