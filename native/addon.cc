#include <napi.h>

#include "file.h"
#include "lock.h"
#include "mapping.h"
#include "memory.h"
#include "process.h"
#include "socket.h"
#include "workers.h"

namespace {

napi_property_descriptor Method(const char* name, napi_callback callback) {
  return {name, nullptr, callback, nullptr, nullptr, nullptr, napi_enumerable, nullptr};
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  const napi_property_descriptor methods[] = {
      Method("setCork", nbdcork::SetCork),
      Method("getCork", nbdcork::GetCork),
      Method("setSendBuffer", nbdcork::SetSendBuffer),
      Method("createMapping", nbdcork::CreateMapping),
      Method("refreshMapping", nbdcork::RefreshMapping),
      Method("closeMapping", nbdcork::CloseMapping),
      Method("copyFromMapping", nbdcork::CopyFromMapping),
      Method("residentPages", nbdcork::ResidentPages),
      Method("cachedPages", nbdcork::CachedPages),
      Method("send", nbdcork::Send),
      Method("sendmsg", nbdcork::Sendmsg),
      Method("tcpInfo", nbdcork::TcpInfo),
      Method("peerCredentials", nbdcork::PeerCredentials),
      Method("unreadByPeer", nbdcork::UnreadByPeer),
      Method("bytesAvailable", nbdcork::BytesAvailable),
      Method("kindOf", nbdcork::KindOf),
      Method("duplicate", nbdcork::Duplicate),
      Method("preadNoWait", nbdcork::PreadNoWait),
      Method("offsetIn", nbdcork::OffsetIn),
      Method("adviseHugePages", nbdcork::AdviseHugePages),
      Method("discardPages", nbdcork::DiscardPages),
      Method("createMemoryFile", nbdcork::CreateMemoryFile),
      Method("blockDeviceSize", nbdcork::BlockDeviceSize),
      Method("blockSizes", nbdcork::BlockSizes),
      Method("lockFile", nbdcork::LockFile),
      Method("exitNow", nbdcork::ExitNow),
      Method("createWorkers", nbdcork::CreateWorkers),
      Method("submitWork", nbdcork::SubmitWork),
      Method("addWorker", nbdcork::AddWorker),
      Method("closeWorkers", nbdcork::CloseWorkers),
  };
  napi_define_properties(env, exports, sizeof(methods) / sizeof(methods[0]), methods);
  return exports;
}

}  // namespace

NODE_API_MODULE(nbdcork, Init)
