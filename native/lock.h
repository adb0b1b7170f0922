#pragma once

#include <node_api.h>

#include <cstdint>

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value LockFile(napi_env env, napi_callback_info info);

// Sets or removes a shared lock of the open file description. 0 or -errno.
int64_t LockByte(int fd, int64_t position, bool locked);

// Whether another open file description has a lock on the byte: 1, 0 or -errno.
int64_t ByteIsLocked(int fd, int64_t position);

}  // namespace nbdcork
