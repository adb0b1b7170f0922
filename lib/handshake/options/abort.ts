import type { Negotiation } from '../negotiation.js';

/** NBD_OPT_ABORT: "a server SHOULD ignore any data sent by the client". */
export function abort(negotiation: Negotiation): void {
  negotiation.acknowledge();
  negotiation.aborted = true;
}
