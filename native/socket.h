#pragma once

#include <napi.h>

// lib/native/addon.ts documents the arguments and results.
namespace nbdcork {

napi_value SetCork(napi_env env, napi_callback_info info);
napi_value GetCork(napi_env env, napi_callback_info info);
napi_value SetSendBuffer(napi_env env, napi_callback_info info);
napi_value Send(napi_env env, napi_callback_info info);
napi_value Sendmsg(napi_env env, napi_callback_info info);
napi_value TcpInfo(napi_env env, napi_callback_info info);
napi_value PeerCredentials(napi_env env, napi_callback_info info);
napi_value UnreadByPeer(napi_env env, napi_callback_info info);
napi_value BytesAvailable(napi_env env, napi_callback_info info);
napi_value KindOf(napi_env env, napi_callback_info info);
napi_value Duplicate(napi_env env, napi_callback_info info);

}  // namespace nbdcork
