import { OptionError } from '../../wire/constants.js';
import type { Conversation } from '../conversation.js';
import { invalidOption, OptionRefusal, type OptionData } from '../option-data.js';

/** NBD_OPT_STARTTLS: see "TLS support". */
export async function startTls(conversation: Conversation, data: OptionData): Promise<void> {
  data.end();
  if (conversation.client.tls !== undefined) throw invalidOption('TLS is already in use.');
  if (conversation.tlsMode === 'off') {
    throw new OptionRefusal(OptionError.policy, 'TLS is not configured on this server.');
  }
  await conversation.startTls();
}
