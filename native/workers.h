#pragma once

#include <node_api.h>

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value CreateWorkers(napi_env env, napi_callback_info info);
napi_value SubmitWork(napi_env env, napi_callback_info info);
napi_value AddWorker(napi_env env, napi_callback_info info);
napi_value CloseWorkers(napi_env env, napi_callback_info info);

}  // namespace nbdcork
