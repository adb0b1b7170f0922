/** nbdcork/transport: sending for NBD code that has its own sockets. See docs/transport.md. */
export { NbdError } from '../errors.js';
export type { MappedMemory } from '../memory/mapped-memory.js';
export type { FileMapping } from '../native/addon.js';
export { attach, type AttachOptions } from './attach.js';
export { headerBytesMax, type Lease, type Sender } from './sender.js';
export {
  strategyNames,
  type StrategyName,
  type Transport,
  type TransportCounters,
} from './transport.js';
