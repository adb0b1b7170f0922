#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

#include "call.h"
#include "mapping.h"

namespace nbdcork {

// An array on the stack, or on the heap if it is longer than N.
template <typename T, size_t N>
class ShortArray {
 public:
  explicit ShortArray(size_t length) {
    if (length > N) heap_.reset(new (std::nothrow) T[length]);
    data_ = length > N ? heap_.get() : stack_;
  }

  // nullptr if there is not enough memory.
  T* data() { return data_; }

 private:
  T stack_[N];
  std::unique_ptr<T[]> heap_;
  T* data_;
};

inline bool ThrowNoMemory(napi_env env) {
  napi_throw_error(env, "ERR_OUT_OF_MEMORY", "not enough memory for a vector of this length");
  return false;
}

// The memory of each of `count` elements of `array`. All elements are read
// before the first pointer, since reading an element may run a getter, which
// could detach memory whose address is already known.
// With `mappings`, an element may also be a mapping, for calls in which only the kernel reads it.
inline bool BuffersOf(napi_env env, napi_value array, uint32_t count, Bytes* out,
                      bool mappings = false) {
  ShortArray<napi_value, 256> elements(count);
  napi_value* element = elements.data();
  if (element == nullptr) return ThrowNoMemory(env);
  for (uint32_t i = 0; i < count; i++) {
    if (napi_get_element(env, array, i, &element[i]) != napi_ok) return false;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (mappings && ToMappedBytes(env, element[i], &out[i])) continue;
    if (!ToBytes(env, element[i], &out[i])) return false;
  }
  return true;
}

}  // namespace nbdcork
