import type { BlockSize, MetaContext } from '../backend/backend.js';
import type { Export } from '../backend/export.js';
import type { HeaderKind } from '../wire/header-kind.js';

/** A metadata context that the client has selected, with the id that stands for it in replies. */
export interface SelectedContext {
  readonly id: number;
  readonly context: MetaContext;
}

/** The result of the handshake: what the transmission phase keeps to. */
export interface Agreement {
  readonly export: Export;
  readonly headers: HeaderKind;
  /** The metadata contexts that every NBD_CMD_BLOCK_STATUS reports. */
  readonly contexts: readonly SelectedContext[];
  /** The transmission flags as the client received them: what is not advertised is refused. */
  readonly transmissionFlags: number;
  /** The block sizes as the client received them: the backend's within the server's limit. */
  readonly blockSize: BlockSize;
}
