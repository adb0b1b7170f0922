/** The public API of nbdcork. */
export type {
  Backend,
  BlockSize,
  Bytes,
  MaybePromise,
  TrimOptions,
  WriteOptions,
  WriteZeroesOptions,
} from './backend/backend.js';
export { NbdError } from './errors.js';
export { defaultLimits, type Limits } from './limits.js';
export type { ExportOptions, ListenOptions, Logger, ServerOptions } from './server/options.js';
export { createServer, type NbdServer } from './server/server.js';
export type { StrategyName } from './transport/transport.js';
export type { Address } from './wire/uri.js';
