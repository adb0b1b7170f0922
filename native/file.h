#pragma once

#include <napi.h>

#include "call.h"

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value CachedPages(napi_env env, napi_callback_info info);
napi_value PreadNoWait(napi_env env, napi_callback_info info);
napi_value BlockDeviceSize(napi_env env, napi_callback_info info);
napi_value BlockSizes(napi_env env, napi_callback_info info);

// Of a regular file or a block device, in bytes, or -errno.
int64_t SizeOf(int fd);

// Fills `found` with pairs: where a range of data between `offset` and `end` begins
// and where it ends. An empty range marks the end of the file. Returns the count of
// numbers, or -errno. This moves the file position, which is not used elsewhere.
int64_t FindRanges(int fd, int64_t offset, int64_t end, const Numbers& found);

}  // namespace nbdcork
