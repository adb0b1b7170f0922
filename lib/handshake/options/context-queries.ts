/** What NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT have in common. */
import type { Backend, MetaContext } from '../../backend/backend.js';
import { quoted } from '../../quoted.js';
import { OptionError, OptionReply } from '../../wire/constants.js';
import { HeaderKind } from '../../wire/header-kind.js';
import { encodeUtf8 } from '../../wire/strings.js';
import type { Conversation } from '../conversation.js';
import { contextsOf } from '../meta-contexts.js';
import { invalidOption, OptionRefusal, type OptionData } from '../option-data.js';
import { findExport } from './find-export.js';

/** "The server MAY fail with NBD_REP_ERR_TOO_BIG if too many queries are requested." */
const queriesMax = 1024;

export interface ContextQueries {
  /** As the client named it. */
  readonly exportName: string;
  readonly backend: Backend;
  readonly queries: readonly string[];
}

/** Reads the data of the option and opens the export. @throws OptionRefusal, or NbdError of the catalog. */
export async function readQueries(
  conversation: Conversation,
  data: OptionData,
): Promise<ContextQueries> {
  const exportName = data.string(data.uint32());
  const queries: string[] = [];
  for (let left = data.uint32(); left > 0; left--) queries.push(readQuery(data));
  data.end();
  if (conversation.headers === HeaderKind.simple) {
    throw invalidOption('negotiate structured replies or extended headers first.');
  }
  if (queries.length > queriesMax) {
    throw new OptionRefusal(OptionError.tooBig, `at most ${queriesMax} queries are allowed.`);
  }
  const { backend } = await findExport(conversation, exportName, OptionError.unknown);
  if (conversation.headers !== HeaderKind.extended) refuseWideContexts(backend, queries);
  return { exportName, backend, queries };
}

/** One NBD_REP_META_CONTEXT. */
export function sendContext(conversation: Conversation, id: number, { name }: MetaContext): void {
  const idBytes = new Uint8Array(4);
  new DataView(idBytes.buffer).setUint32(0, id);
  conversation.reply(OptionReply.metaContext, idBytes, encodeUtf8(name));
}

function readQuery(data: OptionData): string {
  const query = data.string(data.uint32(), 'query');
  if (query.indexOf(':') > 0) return query;
  throw invalidOption('a query must begin with a namespace and a colon.');
}

/** For a context that the client names in full; a wildcard merely omits it. */
function refuseWideContexts(backend: Backend, queries: readonly string[]): void {
  const wide = contextsOf(backend).find(
    (context) => context.wide === true && queries.includes(context.name),
  );
  if (wide === undefined) return;
  throw new OptionRefusal(
    OptionError.extendedHeadersRequired,
    `${quoted(wide.name)} has flags of more than 32 bits: negotiate extended headers first.`,
  );
}
