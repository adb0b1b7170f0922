#include "socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <climits>

// The kernel's tcp_info has fields that glibc's lacks. musl has the long one, but
// not always the kernel's headers.
#if __has_include(<linux/tcp.h>)
#include <linux/tcp.h>
#else
#include <netinet/tcp.h>
#endif

#include "buffers.h"
#include "call.h"

namespace nbdcork {

namespace {

constexpr int kSendFlags = MSG_NOSIGNAL | MSG_DONTWAIT;
constexpr size_t kVectorMax = IOV_MAX;
constexpr size_t kNumbersPerPiece = 3;
constexpr size_t kTcpCounters = 4;
constexpr size_t kCredentials = 3;

// The vector of `count` pieces of three numbers each: index, offset, length.
bool VectorOf(napi_env env, const double* piece, size_t count, const Bytes* buffers,
              uint32_t buffer_count, iovec* vector) {
  for (size_t i = 0; i < count; i++, piece += kNumbersPerPiece) {
    int64_t index, offset, length;
    if (!ToInteger(piece[0], 0, int64_t{buffer_count} - 1, &index)) {
      return ThrowRange(env, "the buffer index of a piece is out of range");
    }
    const Bytes& buffer = buffers[index];
    const auto size = static_cast<int64_t>(buffer.length);
    if (!ToInteger(piece[1], 0, size, &offset) || !ToInteger(piece[2], 0, size - offset, &length)) {
      return ThrowRange(env, "a piece is outside its buffer");
    }
    vector[i] = {buffer.data + offset, static_cast<size_t>(length)};
  }
  return true;
}

size_t BytesOf(const iovec* vector, size_t count) {
  size_t bytes = 0;
  for (size_t i = 0; i < count; i++) bytes += vector[i].iov_len;
  return bytes;
}

int64_t SendVector(int fd, iovec* vector, size_t count) {
  int64_t total = 0;
  for (size_t first = 0; first < count; first += kVectorMax) {
    msghdr message = {};
    message.msg_iov = vector + first;
    message.msg_iovlen = count - first < kVectorMax ? count - first : kVectorMax;
    ssize_t sent;
    do {
      sent = ::sendmsg(fd, &message, kSendFlags);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return total > 0 ? total : -errno;
    total += sent;
    if (static_cast<size_t>(sent) < BytesOf(message.msg_iov, message.msg_iovlen)) break;
  }
  return total;
}

int OptionOf(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  return ::getsockopt(fd, level, name, &value, &length) < 0 ? -errno : value;
}

// The values of `descriptorKind` in lib/native/addon.ts.
enum Kind { kOther, kFile, kBlockDevice, kPipe, kTcp, kUnix, kOtherSocket };

Kind SocketKindOf(int fd) {
  if (OptionOf(fd, SOL_SOCKET, SO_TYPE) != SOCK_STREAM) return kOtherSocket;
  const int domain = OptionOf(fd, SOL_SOCKET, SO_DOMAIN);
  if (domain == AF_UNIX) return kUnix;
  const bool internet = domain == AF_INET || domain == AF_INET6;
  return internet && OptionOf(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP ? kTcp : kOtherSocket;
}

}  // namespace

napi_value SetCork(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  int fd;
  bool on;
  if (!call.Descriptor(0, &fd) || !call.Boolean(1, &on)) return nullptr;
  const int value = on ? 1 : 0;
  return call.Return(ResultOf(::setsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, sizeof(value))));
}

napi_value GetCork(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  return call.Return(OptionOf(fd, IPPROTO_TCP, TCP_CORK));
}

napi_value SetSendBuffer(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  int fd;
  int64_t bytes;
  if (!call.Descriptor(0, &fd)) return nullptr;
  if (!call.Unsigned(1, INT_MAX, "expected a number of bytes", &bytes)) return nullptr;
  const int value = static_cast<int>(bytes);
  return call.Return(ResultOf(::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &value, sizeof(value))));
}

napi_value Send(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  int fd;
  Bytes bytes;
  bool more;
  if (!call.Descriptor(0, &fd) || !call.Uint8Array(1, &bytes) || !call.Boolean(2, &more)) {
    return nullptr;
  }
  ssize_t sent;
  do {
    sent = ::send(fd, bytes.data, bytes.length, more ? kSendFlags | MSG_MORE : kSendFlags);
  } while (sent < 0 && errno == EINTR);
  return call.Return(ResultOf(sent));
}

napi_value Sendmsg(napi_env env, napi_callback_info info) {
  Call<5> call(env, info);
  int fd;
  uint32_t buffer_count;
  int64_t first, count;
  if (!call.Descriptor(0, &fd) || !call.Array(1, &buffer_count) ||
      !call.Unsigned(3, kSafeIntegerMax, "expected the index of the first piece", &first) ||
      !call.Unsigned(4, kSafeIntegerMax, "expected a count of pieces", &count)) {
    return nullptr;
  }
  ShortArray<Bytes, 256> buffers(buffer_count);
  if (buffers.data() == nullptr) {
    ThrowNoMemory(env);
    return nullptr;
  }
  Numbers pieces;
  if (!BuffersOf(env, call.argument(1), buffer_count, buffers.data(), true) ||
      !call.Float64Array(2, 0, &pieces)) {
    return nullptr;
  }
  if (first + count > static_cast<int64_t>(pieces.length / kNumbersPerPiece)) {
    ThrowRange(env, "first + count exceeds the number of pieces");
    return nullptr;
  }
  ShortArray<iovec, kVectorMax> vector(count);
  if (vector.data() == nullptr) {
    ThrowNoMemory(env);
    return nullptr;
  }
  if (!VectorOf(env, pieces.data + first * kNumbersPerPiece, count, buffers.data(), buffer_count,
                vector.data())) {
    return nullptr;
  }
  return call.Return(SendVector(fd, vector.data(), count));
}

napi_value TcpInfo(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  int fd;
  Numbers counters;
  if (!call.Descriptor(0, &fd) || !call.Float64Array(1, kTcpCounters, &counters)) return nullptr;
  struct tcp_info tcp = {};
  socklen_t length = sizeof(tcp);
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &length) < 0) return call.Return(-errno);
  counters.data[0] = static_cast<double>(tcp.tcpi_segs_out);
  counters.data[1] = static_cast<double>(tcp.tcpi_bytes_sent);
  counters.data[2] = static_cast<double>(tcp.tcpi_data_segs_out);
  counters.data[3] = static_cast<double>(tcp.tcpi_bytes_acked);
  return call.Return(0);
}

napi_value PeerCredentials(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  int fd;
  Numbers numbers;
  if (!call.Descriptor(0, &fd) || !call.Float64Array(1, kCredentials, &numbers)) return nullptr;
  struct ucred peer = {};
  socklen_t length = sizeof(peer);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0) return call.Return(-errno);
  numbers.data[0] = static_cast<double>(peer.pid);
  numbers.data[1] = static_cast<double>(peer.uid);
  numbers.data[2] = static_cast<double>(peer.gid);
  return call.Return(0);
}

napi_value UnreadByPeer(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  struct stat status;
  if (::fstat(fd, &status) < 0) return call.Return(-errno);
  // Both ends of a pipe see the same bytes. For a socket, TIOCOUTQ is SIOCOUTQ.
  const unsigned long request = S_ISFIFO(status.st_mode) ? FIONREAD : TIOCOUTQ;
  int bytes = 0;
  return call.Return(::ioctl(fd, request, &bytes) < 0 ? -errno : bytes);
}

napi_value BytesAvailable(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  int bytes = 0;
  return call.Return(::ioctl(fd, FIONREAD, &bytes) < 0 ? -errno : bytes);
}

napi_value KindOf(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  struct stat status;
  if (::fstat(fd, &status) < 0) return call.Return(-errno);
  if (S_ISREG(status.st_mode)) return call.Return(kFile);
  if (S_ISBLK(status.st_mode)) return call.Return(kBlockDevice);
  if (S_ISFIFO(status.st_mode)) return call.Return(kPipe);
  return call.Return(S_ISSOCK(status.st_mode) ? SocketKindOf(fd) : kOther);
}

napi_value Duplicate(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  int fd;
  if (!call.Descriptor(0, &fd)) return nullptr;
  return call.Return(ResultOf(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
}

}  // namespace nbdcork
