import { OptionError } from '../../wire/constants.js';
import { readQueries, resolve, selectable, sendContext } from '../meta-contexts.js';
import type { Negotiation } from '../negotiation.js';

/**
 * NBD_OPT_SET_META_CONTEXT: the contexts that are named in full. Those that
 * were selected before are forgotten by then, whatever becomes of this option.
 */
export async function setMetaContext(negotiation: Negotiation, data: Buffer): Promise<void> {
  const asked = await readQueries(negotiation, data);
  if (asked === undefined) return;
  const { exportName, entry, queries } = asked;
  const names = selectable(negotiation, entry)
    .map(({ name }) => name)
    .filter((name) => queries.includes(name));
  const { contextsMax } = negotiation.limits;
  if (names.length > contextsMax) {
    negotiation.refuse(OptionError.tooBig, `At most ${contextsMax} contexts can be selected.`);
    return;
  }
  const selection = { exportName, names };
  negotiation.selection = selection;
  for (const { id, context } of resolve(selection, entry.backend)) {
    sendContext(negotiation, id, context);
  }
  negotiation.acknowledge();
}
