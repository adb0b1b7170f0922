#pragma once

#include <napi.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace nbdcork {

// Number.MAX_SAFE_INTEGER: offsets and lengths are numbers, never BigInt.
constexpr int64_t kSafeIntegerMax = (int64_t{1} << 53) - 1;

// The memory of a typed array, borrowed for one call.
struct Bytes {
  uint8_t* data;
  size_t length;
};

struct Numbers {
  double* data;
  size_t length;
};

// The result of a system call, or -errno.
template <typename T>
inline int64_t ResultOf(T result) {
  return result < 0 ? -errno : static_cast<int64_t>(result);
}

inline bool ThrowType(napi_env env, const char* message) {
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", message);
  return false;
}

inline bool ThrowRange(napi_env env, const char* message) {
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", message);
  return false;
}

// False unless `value` is an integer from `min` to `max`.
inline bool ToInteger(double value, int64_t min, int64_t max, int64_t* out) {
  if (!(value >= static_cast<double>(min) && value <= static_cast<double>(max))) return false;
  *out = static_cast<int64_t>(value);
  return static_cast<double>(*out) == value;
}

inline bool ToBytes(napi_env env, napi_value value, Bytes* out) {
  napi_typedarray_type type;
  void* data;
  const napi_status status =
      napi_get_typedarray_info(env, value, &type, &out->length, &data, nullptr, nullptr);
  if (status != napi_ok || type != napi_uint8_array) return ThrowType(env, "expected a Uint8Array");
  out->data = static_cast<uint8_t*>(data);
  return true;
}

// One call from JavaScript with up to N arguments. Each method throws a
// JavaScript error and returns false if the argument is invalid. It uses plain
// N-API rather than Napi::CallbackInfo, since `sendmsg` is called tens of
// thousands of times per second.
template <size_t N>
class Call {
 public:
  Call(napi_env env, napi_callback_info info) : env_(env) {
    size_t count = N;
    napi_get_cb_info(env, info, &count, arguments_, nullptr, nullptr);
  }

  bool Descriptor(size_t index, int* out) {
    int64_t value;
    if (!Integer(index, INT32_MIN, INT32_MAX, "expected a file descriptor", &value)) return false;
    *out = static_cast<int>(value);
    return true;
  }

  // An integer from 0 to `max`.
  bool Unsigned(size_t index, int64_t max, const char* message, int64_t* out) {
    return Integer(index, 0, max, message, out);
  }

  bool Boolean(size_t index, bool* out) {
    if (napi_get_value_bool(env_, arguments_[index], out) == napi_ok) return true;
    return ThrowType(env_, "expected a boolean");
  }

  bool Uint8Array(size_t index, Bytes* out) { return ToBytes(env_, arguments_[index], out); }

  // A Float64Array of at least `min` numbers.
  bool Float64Array(size_t index, size_t min, Numbers* out) {
    napi_typedarray_type type;
    void* data;
    const napi_status status = napi_get_typedarray_info(env_, arguments_[index], &type,
                                                        &out->length, &data, nullptr, nullptr);
    if (status != napi_ok || type != napi_float64_array) {
      return ThrowType(env_, "expected a Float64Array");
    }
    if (out->length < min) return ThrowRange(env_, "the Float64Array is too short");
    out->data = static_cast<double*>(data);
    return true;
  }

  bool Array(size_t index, uint32_t* length) {
    if (napi_get_array_length(env_, arguments_[index], length) == napi_ok) return true;
    return ThrowType(env_, "expected an array");
  }

  napi_value argument(size_t index) const { return arguments_[index]; }

  napi_value Return(int64_t number) {
    napi_value result;
    return napi_create_int64(env_, number, &result) == napi_ok ? result : nullptr;
  }

 private:
  bool Integer(size_t index, int64_t min, int64_t max, const char* message, int64_t* out) {
    double value;
    if (napi_get_value_double(env_, arguments_[index], &value) != napi_ok) {
      return ThrowType(env_, message);
    }
    return ToInteger(value, min, max, out) || ThrowRange(env_, message);
  }

  napi_env env_;
  napi_value arguments_[N];
};

}  // namespace nbdcork
