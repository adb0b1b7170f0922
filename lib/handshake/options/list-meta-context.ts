import type { MetaContext } from '../../backend/backend.js';
import type { Conversation } from '../conversation.js';
import { selectableContexts } from '../meta-contexts.js';
import type { OptionData } from '../option-data.js';
import { readQueries, sendContext } from './context-queries.js';

/** "The metadata context ID in these replies is reserved and SHOULD be set to zero." */
const reservedId = 0;

/** NBD_OPT_LIST_META_CONTEXT: `NAMESPACE:` is a wildcard; no query at all asks for everything. */
export async function listMetaContext(conversation: Conversation, data: OptionData): Promise<void> {
  const { backend, queries } = await readQueries(conversation, data);
  const matches = ({ name }: MetaContext): boolean =>
    queries.includes(name) || queries.includes(name.slice(0, name.indexOf(':') + 1));
  for (const context of selectableContexts(backend, conversation.headers)) {
    if (queries.length === 0 || matches(context)) sendContext(conversation, reservedId, context);
  }
  conversation.acknowledge();
}
