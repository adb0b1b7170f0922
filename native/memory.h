#pragma once

#include <napi.h>

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value OffsetIn(napi_env env, napi_callback_info info);
napi_value AdviseHugePages(napi_env env, napi_callback_info info);
napi_value DiscardPages(napi_env env, napi_callback_info info);
napi_value CreateMemoryFile(napi_env env, napi_callback_info info);

}  // namespace nbdcork
