import { OptionReply } from '../../wire/constants.js';
import { encodeUtf8 } from '../../wire/strings.js';
import type { Conversation } from '../conversation.js';
import { isHidden } from '../export-catalog.js';
import type { OptionData } from '../option-data.js';

/** NBD_OPT_LIST: one NBD_REP_SERVER for each export, with its name and description. */
export async function list(conversation: Conversation, data: OptionData): Promise<void> {
  data.end();
  let count = 0;
  for (const entry of await conversation.catalog.list(conversation.client)) {
    if (isHidden(entry, conversation.client)) continue;
    count++;
    const name = encodeUtf8(entry.name);
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, name.byteLength);
    conversation.reply(OptionReply.server, length, name, encodeUtf8(entry.description ?? ''));
  }
  conversation.exportsListed = Math.max(conversation.exportsListed, count);
  conversation.acknowledge();
}
