import { OptionError } from '../../wire/constants.js';
import { HeaderKind } from '../../wire/header-kind.js';
import type { Conversation } from '../conversation.js';
import { OptionRefusal, type OptionData } from '../option-data.js';

/** NBD_OPT_STRUCTURED_REPLY. */
export function structuredReply(conversation: Conversation, data: OptionData): void {
  data.end();
  if (conversation.headers === HeaderKind.extended) {
    throw new OptionRefusal(
      OptionError.extendedHeadersRequired,
      'extended headers are already negotiated and take precedence.',
    );
  }
  conversation.headers = HeaderKind.structured;
  conversation.acknowledge();
}
