#include "workers.h"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include "buffers.h"
#include "call.h"
#include "operations.h"

namespace nbdcork {

namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kNumbersPerOperation = 7;
constexpr size_t kNumbersPerResult = 3;
constexpr int64_t kThreadsMax = 64;
// The system calls of a file need little stack.
constexpr size_t kStackBytes = 256 * 1024;
// Only writes that take longer are examined: a copy into the cache is faster.
constexpr std::chrono::microseconds kSlowWrite{100};
// After a write has waited for a device, so many writes are done by several threads.
constexpr size_t kSlowWrites = 16;
// Results are collected for this long, as long as more operations are queued.
constexpr std::chrono::microseconds kResultDelay{100};

// Most writes only copy into the system's cache, and those of one file exclude each other there:
// a second thread would spin until the first has written, so one thread does them. Direct writes
// always wait for the device.
bool MayWait(const Operation& operation) {
  return operation.kind != Kind::kWrite || operation.mode == kDirect;
}

// How often the calling thread has waited for something.
int64_t WaitsOfThread() {
  struct rusage usage;
  return ::getrusage(RUSAGE_THREAD, &usage) < 0 ? 0 : usage.ru_nvcsw;
}

// The threads of one disk. They end before it does.
class Workers {
 public:
  explicit Workers(size_t threads_max) : threads_max_(threads_max) {}

  // -errno where not even one thread could be started.
  int64_t Submit(const Operation* operations, size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    if (closing_) return -ESHUTDOWN;
    queue_.insert(queue_.end(), operations, operations + count);
    if (writing_ > 0 && slow_writes_ == 0 && std::none_of(operations, operations + count, MayWait))
      return 0;
    const int64_t started = AddThread();
    if (started < 0 && threads_.empty()) {
      queue_.clear();
      return started;
    }
    return 0;
  }

  // For operations that have waited for long. Results that are there are delivered. Otherwise the
  // operations in progress wait for a device, and one more thread is started for what is queued.
  // 1 where it was, 0 where none is needed or allowed.
  int64_t Add() {
    std::unique_lock<std::mutex> lock(mutex_);
    if (closing_) return 0;
    if (!finished_.empty()) {
      Signal();
      return 0;
    }
    if (queue_.empty()) return 0;
    stall_++;
    writing_ = 0;
    slow_writes_ = kSlowWrites;
    return AddThread();
  }

  void Close(napi_env env) {
    napi_threadsafe_function done;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      if (closing_) return;
      closing_ = true;
      queue_.clear();
      done = done_;
      done_ = nullptr;
      changed_.notify_all();
    }
    napi_unref_threadsafe_function(env, done);
    napi_release_threadsafe_function(done, napi_tsfn_abort);
  }

  // The environment ends, and with it the memory that operations in progress use. The last
  // environment to end also unloads this code.
  void CloseAndJoin(napi_env env) {
    Close(env);
    for (const pthread_t thread : threads_) pthread_join(thread, nullptr);
    threads_.clear();
  }

  // Moves finished operations into `results`, as many as there is room for.
  size_t TakeResults(const Numbers& results, bool* more) {
    std::unique_lock<std::mutex> lock(mutex_);
    const size_t room = results.length / kNumbersPerResult;
    const size_t count = finished_.size() < room ? finished_.size() : room;
    double* number = results.data;
    for (size_t i = 0; i < count; i++) {
      *number++ = finished_[i].ticket;
      *number++ = static_cast<double>(finished_[i].value);
      *number++ = static_cast<double>(finished_[i].done);
    }
    finished_.erase(finished_.begin(), finished_.begin() + static_cast<ptrdiff_t>(count));
    *more = !finished_.empty();
    if (!*more) signalled_ = false;
    return count;
  }

  void set_done(napi_threadsafe_function done) { done_ = done; }

 private:
  // With the lock held.
  int64_t AddThread() {
    if (idle_ > 0) {
      changed_.notify_one();
      return 1;
    }
    if (threads_.size() >= threads_max_) return 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, kStackBytes);
    pthread_t thread;
    const int error = pthread_create(&thread, &attributes, &Workers::Main, this);
    pthread_attr_destroy(&attributes);
    if (error != 0) return -error;
    threads_.push_back(thread);
    return 1;
  }

  static void* Main(void* workers) {
    static_cast<Workers*>(workers)->Run();
    return nullptr;
  }

  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    int64_t waits = 0;
    while (true) {
      auto next = Next();
      while (next == queue_.end() && !closing_) {
        idle_++;
        changed_.wait(lock);
        idle_--;
        waits = WaitsOfThread();
        next = Next();
      }
      if (closing_) break;
      const Operation operation = *next;
      queue_.erase(next);
      const bool may_wait = slow_writes_ > 0 || MayWait(operation);
      if (!queue_.empty() && (may_wait || MayWait(queue_.front()))) AddThread();
      const bool writes = !MayWait(operation);
      if (writes) writing_++;
      const bool alone = writing_ == 1;
      const uint64_t stall = stall_;
      lock.unlock();
      const auto started = Clock::now();
      const Result result = Perform(operation);
      const auto ended = Clock::now();
      const bool waited = ended - started > kSlowWrite && HasWaited(&waits);
      lock.lock();
      if (writes && stall == stall_) {
        // Several at a time also wait for each other.
        if (waited && alone && writing_ == 1)
          slow_writes_ = kSlowWrites;
        else if (slow_writes_ > 0)
          slow_writes_--;
        writing_--;
      }
      Finish(result, ended, may_wait);
    }
  }

  // With the lock held: what the calling thread does next, or the end. While another thread
  // writes to the cache, writes are left to that one.
  std::deque<Operation>::iterator Next() {
    if (writing_ == 0 || slow_writes_ > 0) return queue_.begin();
    return std::find_if(queue_.begin(), queue_.end(), MayWait);
  }

  static bool HasWaited(int64_t* waits) {
    const int64_t before = *waits;
    *waits = WaitsOfThread();
    return *waits > before;
  }

  // With the lock held: results of a batch wake JavaScript once.
  void Finish(const Result& result, Clock::time_point now, bool waited) {
    if (closing_) return;
    if (finished_.empty()) first_finished_ = now;
    finished_.push_back(result);
    const bool wait = !queue_.empty() && !waited && now - first_finished_ < kResultDelay;
    if (!wait) Signal();
  }

  // With the lock held.
  void Signal() {
    if (signalled_) return;
    signalled_ = true;
    napi_call_threadsafe_function(done_, nullptr, napi_tsfn_nonblocking);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Operation> queue_;
  std::vector<Result> finished_;
  Clock::time_point first_finished_;
  const size_t threads_max_;
  std::vector<pthread_t> threads_;
  size_t idle_ = 0;
  // Threads that write, without those of which writes have stalled.
  size_t writing_ = 0;
  // How often all operations in progress were found to wait for a device.
  uint64_t stall_ = 0;
  // Writes to be done by several threads, since one has waited for a device.
  size_t slow_writes_ = 0;
  bool signalled_ = false;
  bool closing_ = false;
  napi_threadsafe_function done_ = nullptr;
};

// What JavaScript holds.
struct Handle {
  Handle(size_t threads_max, napi_env environment, const Numbers& numbers)
      : workers(threads_max), env(environment), results(numbers) {}

  Workers workers;
  napi_env env;
  // Where results go; a reference keeps the memory.
  napi_ref results_reference = nullptr;
  Numbers results;
};

void CloseAtExit(void* data) {
  auto* handle = static_cast<Handle*>(data);
  handle->workers.CloseAndJoin(handle->env);
}

void DeleteHandle(napi_env env, void* data, void*) {
  auto* handle = static_cast<Handle*>(data);
  napi_remove_env_cleanup_hook(env, CloseAtExit, handle);
  handle->workers.CloseAndJoin(env);
  napi_delete_reference(env, handle->results_reference);
  delete handle;
}

// On JavaScript's thread: hands over results until none are left.
void Deliver(napi_env env, napi_value callback, void* context, void*) {
  if (env == nullptr || callback == nullptr) return;
  auto* handle = static_cast<Handle*>(context);
  bool more = true;
  while (more) {
    const size_t count = handle->workers.TakeResults(handle->results, &more);
    if (count == 0) return;
    napi_value argument, undefined, result;
    if (napi_create_uint32(env, static_cast<uint32_t>(count), &argument) != napi_ok ||
        napi_get_undefined(env, &undefined) != napi_ok ||
        napi_call_function(env, undefined, callback, 1, &argument, &result) != napi_ok) {
      return;
    }
  }
}

bool ToHandle(napi_env env, napi_value value, Handle** out) {
  void* data;
  if (napi_get_value_external(env, value, &data) != napi_ok) {
    return ThrowType(env, "expected workers");
  }
  *out = static_cast<Handle*>(data);
  return true;
}

bool ReadOperation(napi_env env, const double* number, const Bytes* buffers, int64_t buffer_count,
                   Operation* out) {
  int64_t kind, fd, buffer;
  if (!ToInteger(number[0], 0, static_cast<int64_t>(Kind::kLast) - 1, &kind) ||
      !ToInteger(number[2], 0, INT32_MAX, &fd) ||
      !ToInteger(number[3], 0, kSafeIntegerMax, &out->position) ||
      !ToInteger(number[4], 0, kSafeIntegerMax - out->position, &out->length) ||
      !ToInteger(number[5], 0, INT32_MAX, &out->mode) ||
      !ToInteger(number[6], -1, buffer_count - 1, &buffer)) {
    return ThrowRange(env, "an operation has a number that is out of range");
  }
  out->kind = static_cast<Kind>(kind);
  out->ticket = number[1];
  out->fd = static_cast<int>(fd);
  out->data = buffer < 0 ? nullptr : buffers[buffer].data;
  const size_t available = buffer < 0 ? 0 : buffers[buffer].length;
  const bool transfers = out->kind == Kind::kRead || out->kind == Kind::kWrite;
  if (transfers && static_cast<uint64_t>(out->length) > available) {
    return ThrowRange(env, "an operation is longer than its buffer");
  }
  if (out->kind == Kind::kFindData) {
    out->mode = static_cast<int64_t>(available / sizeof(double));
    if (reinterpret_cast<uintptr_t>(out->data) % alignof(double) != 0) {
      return ThrowRange(env, "numbers must be aligned");
    }
  }
  return true;
}

}  // namespace

napi_value CreateWorkers(napi_env env, napi_callback_info info) {
  Call<3> call(env, info);
  int64_t threads_max;
  Numbers results;
  if (!call.Unsigned(0, kThreadsMax, "expected a number of threads", &threads_max) ||
      !call.Float64Array(1, kNumbersPerResult, &results)) {
    return nullptr;
  }
  if (threads_max < 1) {
    ThrowRange(env, "workers need at least one thread");
    return nullptr;
  }
  auto handle = std::make_unique<Handle>(static_cast<size_t>(threads_max), env, results);
  napi_value name, external;
  napi_threadsafe_function done;
  if (napi_create_reference(env, call.argument(1), 1, &handle->results_reference) != napi_ok ||
      napi_create_string_utf8(env, "nbdcork.workers", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_threadsafe_function(env, call.argument(2), nullptr, name, 0, 1, nullptr, nullptr,
                                      handle.get(), Deliver, &done) != napi_ok) {
    ThrowType(env, "expected a function");
    return nullptr;
  }
  handle->workers.set_done(done);
  napi_unref_threadsafe_function(env, done);
  if (napi_create_external(env, handle.get(), DeleteHandle, nullptr, &external) != napi_ok) {
    return nullptr;
  }
  napi_add_env_cleanup_hook(env, CloseAtExit, handle.release());
  return external;
}

napi_value SubmitWork(napi_env env, napi_callback_info info) {
  Call<4> call(env, info);
  Handle* handle;
  Numbers numbers;
  int64_t count;
  uint32_t buffer_count;
  if (!ToHandle(env, call.argument(0), &handle) || !call.Float64Array(1, 0, &numbers) ||
      !call.Unsigned(2, static_cast<int64_t>(numbers.length / kNumbersPerOperation),
                     "expected a count of operations", &count) ||
      !call.Array(3, &buffer_count)) {
    return nullptr;
  }
  ShortArray<Bytes, 64> buffers(buffer_count);
  ShortArray<Operation, 64> operations(static_cast<size_t>(count));
  if (buffers.data() == nullptr || operations.data() == nullptr) return call.Return(-ENOMEM);
  if (!BuffersOf(env, call.argument(3), buffer_count, buffers.data())) return nullptr;
  for (int64_t i = 0; i < count; i++) {
    if (!ReadOperation(env, numbers.data + i * static_cast<int64_t>(kNumbersPerOperation),
                       buffers.data(), buffer_count, &operations.data()[i])) {
      return nullptr;
    }
  }
  return call.Return(handle->workers.Submit(operations.data(), static_cast<size_t>(count)));
}

napi_value AddWorker(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  Handle* handle;
  if (!ToHandle(env, call.argument(0), &handle)) return nullptr;
  return call.Return(handle->workers.Add());
}

napi_value CloseWorkers(napi_env env, napi_callback_info info) {
  Call<1> call(env, info);
  Handle* handle;
  if (!ToHandle(env, call.argument(0), &handle)) return nullptr;
  handle->workers.Close(env);
  return call.Return(0);
}

}  // namespace nbdcork
