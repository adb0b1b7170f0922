#include "mapping.h"

#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <memory>

#include "buffers.h"

namespace nbdcork {

namespace {

constexpr napi_type_tag kTag = {0x6e6264636f726b31, 0x9d1c5b0e7a4f4c62};
// mincore(2) is asked for 2 MiB at a time.
constexpr size_t kPagesMax = 512;

// The beginning of a file, mapped for reading. The addresses stay reserved for as long as
// JavaScript refers to the object: after `Close` they belong to nothing else.
class Mapping {
 public:
  ~Mapping() {
    if (address_ != nullptr) ::munmap(address_, length_);
  }

  // 0 or -errno.
  int64_t Open(int fd, size_t length) {
    void* address = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) return -errno;
    address_ = address;
    length_ = length;
    return 0;
  }

  // Maps the file anew at the same addresses, which gives back the page tables.
  int64_t Refresh(int fd) { return Replace(PROT_READ, MAP_SHARED, fd); }

  int64_t Close() { return Replace(PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1); }

  Bytes bytes() const {
    return {static_cast<uint8_t*>(address_), address_ == nullptr ? 0 : length_};
  }

 private:
  int64_t Replace(int protection, int flags, int fd) {
    if (address_ == nullptr) return -EFAULT;
    void* address = ::mmap(address_, length_, protection, flags | MAP_FIXED, fd, 0);
    if (address != MAP_FAILED) return 0;
    const int error = errno;
    // The addresses may be free now, and belong to something else next.
    if (fd < 0 || Close() < 0) address_ = nullptr;
    return -error;
  }

  void* address_ = nullptr;
  size_t length_ = 0;
};

void DeleteMapping(napi_env, void* data, void*) { delete static_cast<Mapping*>(data); }

bool FindMapping(napi_env env, napi_value value, Mapping** out) {
  bool tagged = false;
  void* data;
  if (napi_check_object_type_tag(env, value, &kTag, &tagged) != napi_ok || !tagged ||
      napi_get_value_external(env, value, &data) != napi_ok) {
    return false;
  }
  *out = static_cast<Mapping*>(data);
  return true;
}

bool ToMapping(napi_env env, napi_value value, Mapping** out) {
  return FindMapping(env, value, out) || ThrowType(env, "expected a mapping");
}

}  // namespace

bool ToMappedBytes(napi_env env, napi_value value, Bytes* out) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_external) return false;
  Mapping* mapping;
  if (!FindMapping(env, value, &mapping)) return false;
  *out = mapping->bytes();
  return true;
}

napi_value CreateMapping(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  int fd;
  int64_t length;
  if (!call.Descriptor(0, &fd) ||
      !call.Unsigned(1, kSafeIntegerMax, "expected a number of bytes", &length)) {
    return nullptr;
  }
  auto mapping = std::make_unique<Mapping>();
  const int64_t result = mapping->Open(fd, static_cast<size_t>(length));
  if (result < 0) return call.Return(result);
  napi_value external;
  if (napi_create_external(env, mapping.get(), DeleteMapping, nullptr, &external) != napi_ok) {
    return nullptr;
  }
  mapping.release();
  return napi_type_tag_object(env, external, &kTag) == napi_ok ? external : nullptr;
}

napi_value RefreshMapping(napi_env env, napi_callback_info info) {
  Call<2> call(env, info);
  Mapping* mapping;
  int fd;
  if (!ToMapping(env, call.argument(0), &mapping) || !call.Descriptor(1, &fd)) return nullptr;
  return call.Return(mapping->Refresh(fd));
}

napi_value CloseMapping(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  Mapping* mapping;
  if (!ToMapping(env, call.argument(0), &mapping)) return nullptr;
  return call.Return(mapping->Close());
}

napi_value CopyFromMapping(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  Mapping* mapping;
  int64_t position;
  Bytes target;
  if (!ToMapping(env, call.argument(0), &mapping)) return nullptr;
  const Bytes source = mapping->bytes();
  if (!call.Unsigned(1, static_cast<int64_t>(source.length), "expected a position in the mapping",
                     &position) ||
      !call.Uint8Array(2, &target)) {
    return nullptr;
  }
  if (target.length > source.length - static_cast<size_t>(position)) {
    ThrowRange(env, "the range is outside the mapping");
    return nullptr;
  }
  const iovec local = {target.data, target.length};
  const iovec remote = {source.data + position, target.length};
  return call.Return(ResultOf(::process_vm_readv(::getpid(), &local, 1, &remote, 1, 0)));
}

napi_value ResidentPages(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  Mapping* mapping;
  int64_t position, length;
  if (!ToMapping(env, call.argument(0), &mapping)) return nullptr;
  const Bytes bytes = mapping->bytes();
  const auto size = static_cast<int64_t>(bytes.length);
  const auto page_bytes = static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
  if (!call.Unsigned(1, size, "expected a position in the mapping", &position) ||
      !call.Unsigned(2, size - position, "expected a length in the mapping", &length)) {
    return nullptr;
  }
  if (position % page_bytes != 0 || length > static_cast<int64_t>(kPagesMax) * page_bytes) {
    ThrowRange(env, "expected a range of at most 512 whole pages");
    return nullptr;
  }
  unsigned char pages[kPagesMax];
  if (::mincore(bytes.data + position, static_cast<size_t>(length), pages) < 0) {
    return call.Return(-errno);
  }
  int64_t resident = 0;
  for (int64_t i = 0; i * page_bytes < length; i++) resident += pages[i] & 1;
  return call.Return(resident);
}

}  // namespace nbdcork
