import { OptionError } from '../../wire/constants.js';
import type { Conversation } from '../conversation.js';
import { resolveSelection, selectableContexts } from '../meta-contexts.js';
import { OptionRefusal, type OptionData } from '../option-data.js';
import { readQueries, sendContext } from './context-queries.js';

/**
 * NBD_OPT_SET_META_CONTEXT selects the contexts that are named in full. The
 * previous selection was dropped when the option arrived, whatever the outcome.
 */
export async function setMetaContext(conversation: Conversation, data: OptionData): Promise<void> {
  const { exportName, backend, queries } = await readQueries(conversation, data);
  const names = selectableContexts(backend, conversation.headers)
    .map(({ name }) => name)
    .filter((name) => queries.includes(name));
  const { contextsMax } = conversation.limits;
  if (names.length > contextsMax) {
    throw new OptionRefusal(OptionError.tooBig, `at most ${contextsMax} contexts can be selected.`);
  }
  const selection = { exportName, names };
  conversation.selection = selection;
  for (const { id, context } of resolveSelection(selection, backend)) {
    sendContext(conversation, id, context);
  }
  conversation.acknowledge();
}
