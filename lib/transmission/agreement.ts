import type { Backend, MetaContext } from '../backend/backend.js';
import type { HeaderKind } from '../wire/header-kind.js';

/** What a connection has agreed on. */
export interface Agreement {
  readonly backend: Backend;
  readonly headers: HeaderKind;
  /** The metadata contexts that the client has selected, and what it calls them. */
  readonly contexts: readonly { readonly id: number; readonly context: MetaContext }[];
  /** The transmission flags as they were sent to the client: what is not advertised is refused. */
  readonly transmissionFlags: number;
  /** Offsets and lengths must be multiples of it. */
  readonly minimumBytes: number;
  /** Longest payload. */
  readonly requestBytesMax: number;
}
