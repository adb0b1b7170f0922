#include "lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "call.h"

namespace nbdcork {

namespace {

struct flock OneByte(int64_t position, int type) {
  struct flock range = {};
  range.l_type = static_cast<short>(type);
  range.l_whence = SEEK_SET;
  range.l_start = position;
  range.l_len = 1;
  // Locks of open file descriptions want it so.
  range.l_pid = 0;
  return range;
}

}  // namespace

napi_value LockFile(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  return call.Return(ResultOf(::flock(fd, LOCK_EX | LOCK_NB)));
}

int64_t LockByte(int fd, int64_t position, bool locked) {
  struct flock range = OneByte(position, locked ? F_RDLCK : F_UNLCK);
  return ResultOf(::fcntl(fd, F_OFD_SETLK, &range));
}

int64_t ByteIsLocked(int fd, int64_t position) {
  struct flock range = OneByte(position, F_WRLCK);
  if (::fcntl(fd, F_OFD_GETLK, &range) < 0) return -errno;
  return range.l_type == F_UNLCK ? 0 : 1;
}

}  // namespace nbdcork
