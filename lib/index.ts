/** The public API of nbdcork. */
export type {
  Backend,
  BlockSize,
  Bytes,
  Extent,
  ExtentsOptions,
  FileSource,
  MaybePromise,
  MemorySource,
  MetaContext,
  Slice,
  StatusExtent,
  ThreadSource,
  TrimOptions,
  WriteOptions,
  WriteZeroesOptions,
  ZerosSource,
} from './backend/backend.js';
export type { ExportDescription } from './backend/export.js';
export { openFile, type FileBackend, type OpenFileOptions } from './backend/file/open-file.js';
export { MemoryBackend, type MemoryOptions } from './backend/memory/memory-backend.js';
export { PartialError } from './backend/partial-error.js';
export { openSource, type OpenSourceOptions } from './sources/open-source.js';
export { zeros } from './backend/zeros.js';
export { NbdError } from './errors.js';
export { defaultLimits, type Limits } from './limits.js';
export type { Client, ClientTls, TlsMode } from './handshake/client.js';
export type { Allow } from './server/access.js';
export { allowByRules, parseAccessRule, type AccessRule } from './server/access-rules.js';
export type {
  ExportFinder,
  ExportOptions,
  Exports,
  ListenOptions,
  OpenBackend,
  ServerOptions,
} from './server/options.js';
export { readPreSharedKeys } from './server/tls/psk-file.js';
export type { Logger } from './server/log/logger.js';
export { createServer, type NbdServer } from './server/server.js';
export { readTlsFolder } from './server/tls/folder.js';
export type { TlsOptions } from './server/tls/options.js';
export type { MappedMemory } from './memory/mapped-memory.js';
export type { FileMapping } from './native/addon.js';
export type { StrategyName, TransportCounters } from './transport/transport.js';
export type { Address, TlsParameters } from './wire/uri.js';
