#pragma once

#include <napi.h>

#include "call.h"

namespace nbdcork {

napi_value CreateMapping(napi_env env, napi_callback_info info);
napi_value RefreshMapping(napi_env env, napi_callback_info info);
napi_value CloseMapping(napi_env env, napi_callback_info info);
napi_value CopyFromMapping(napi_env env, napi_callback_info info);
napi_value ResidentPages(napi_env env, napi_callback_info info);

// The addresses of a mapping, which only the kernel may access: where the file has ended, it fails
// with EFAULT, while an access by this process is a fatal signal. False if `value` is no mapping.
bool ToMappedBytes(napi_env env, napi_value value, Bytes* out);

}  // namespace nbdcork
