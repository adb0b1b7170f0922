{
  "targets": [
    {
      "target_name": "nbdcork",
      "conditions": [
        ["OS=='linux'", {
          "sources": ["native/addon.cc", "native/file.cc", "native/lock.cc", "native/mapping.cc", "native/operations.cc", "native/memory.cc", "native/process.cc", "native/socket.cc", "native/workers.cc"],
          "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")"],
          "defines": ["NAPI_VERSION=8", "NAPI_DISABLE_CPP_EXCEPTIONS"],
          "cflags": ["-Wall", "-Wextra", "-fvisibility=hidden"]
        }, {
          "type": "none"
        }]
      ]
    }
  ]
}
