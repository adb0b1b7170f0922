import type { Conversation } from '../conversation.js';

/** NBD_OPT_ABORT: "a server SHOULD ignore any data sent by the client". */
export function abort(conversation: Conversation): void {
  conversation.acknowledge();
  conversation.aborted = true;
}
