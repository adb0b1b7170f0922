import type { MetaContext } from '../../backend/backend.js';
import { readQueries, selectable, sendContext } from '../meta-contexts.js';
import type { Negotiation } from '../negotiation.js';

/** "The metadata context ID in these replies is reserved and SHOULD be set to zero." */
const noId = 0;

/** NBD_OPT_LIST_META_CONTEXT: `NAMESPACE:` is a wildcard, and no query at all asks for everything. */
export async function listMetaContext(negotiation: Negotiation, data: Buffer): Promise<void> {
  const asked = await readQueries(negotiation, data);
  if (asked === undefined) return;
  const { entry, queries } = asked;
  const matches = ({ name }: MetaContext): boolean =>
    queries.includes(name) || queries.includes(name.slice(0, name.indexOf(':') + 1));
  for (const context of selectable(negotiation, entry)) {
    if (queries.length === 0 || matches(context)) sendContext(negotiation, noId, context);
  }
  negotiation.acknowledge();
}
