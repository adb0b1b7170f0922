import { OptionError } from '../../wire/constants.js';
import { HeaderKind } from '../../wire/header-kind.js';
import type { Conversation } from '../conversation.js';
import { OptionRefusal, type OptionData } from '../option-data.js';

/**
 * NBD_OPT_EXTENDED_HEADERS: "takes precedence over structured replies". Repeated, it
 * is refused, as by QEMU; the specification leaves that open.
 */
export function extendedHeaders(conversation: Conversation, data: OptionData): void {
  data.end();
  if (conversation.headers === HeaderKind.extended) {
    throw new OptionRefusal(OptionError.invalid, 'extended headers are already negotiated.');
  }
  conversation.headers = HeaderKind.extended;
  conversation.acknowledge();
}
