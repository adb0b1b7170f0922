import { HeaderKind } from '../../wire/header-kind.js';
import type { Conversation } from '../conversation.js';
import type { OptionData } from '../option-data.js';

/** NBD_OPT_EXTENDED_HEADERS: "takes precedence over structured replies". */
export function extendedHeaders(conversation: Conversation, data: OptionData): void {
  data.end();
  conversation.headers = HeaderKind.extended;
  conversation.acknowledge();
}
