#include "lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "call.h"

namespace nbdcork {

namespace {

bool ReadRange(Call<3>& call, int* fd, struct flock* range) {
  int64_t start, length;
  if (!call.Descriptor(0, fd) || !call.Unsigned(1, kSafeIntegerMax, "expected a start", &start) ||
      !call.Unsigned(2, kSafeIntegerMax, "expected a length", &length)) {
    return false;
  }
  range->l_whence = SEEK_SET;
  range->l_start = start;
  range->l_len = length;
  // Locks of open file descriptions want it so.
  range->l_pid = 0;
  return true;
}

}  // namespace

napi_value LockFile(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  return call.Return(ResultOf(::flock(fd, LOCK_EX | LOCK_NB)));
}

napi_value LockRange(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  int fd;
  struct flock range = {};
  if (!ReadRange(call, &fd, &range)) return nullptr;
  range.l_type = F_RDLCK;
  return call.Return(ResultOf(::fcntl(fd, F_OFD_SETLK, &range)));
}

napi_value RangeIsLocked(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  int fd;
  struct flock range = {};
  if (!ReadRange(call, &fd, &range)) return nullptr;
  range.l_type = F_WRLCK;
  if (::fcntl(fd, F_OFD_GETLK, &range) < 0) return call.Return(-errno);
  return call.Return(range.l_type == F_UNLCK ? 0 : 1);
}

}  // namespace nbdcork
