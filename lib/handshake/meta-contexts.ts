/**
 * What NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT have in common,
 * and which contexts there are: "Metadata querying" of the specification.
 */
import type { Backend, MetaContext } from '../backend/backend.js';
import type { Export } from '../backend/export.js';
import { NbdError } from '../errors.js';
import { queriesMax } from '../limits.js';
import { quoted } from '../quoted.js';
import type { SelectedContext } from '../transmission/agreement.js';
import { OptionError, OptionReply } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import { allocation } from './allocation.js';
import { findExport } from './find-export.js';
import type { Negotiation } from './negotiation.js';
import { badOption, bytesAt, uint32At } from './option-data.js';
import { checkString, readString } from './strings.js';

/** "Printable non-whitespace UTF-8 characters other than colons", and one at least. */
const contextName = /^[^\p{C}\p{Z}\s:]+:[^]+$/u;
/** Whose contexts the specification defines. */
const reservedNamespaces: ReadonlySet<string> = new Set(['base', 'nbd-server']);

/** What a client asks for, of an export that there is. */
export interface ContextQueries {
  readonly exportName: string;
  readonly entry: Export;
  readonly queries: readonly string[];
}

/** The contexts that a client has selected, until it chooses an export. */
export interface Selection {
  /** As the client named it: they hold only where it then chooses the same one. */
  readonly exportName: string;
  readonly names: readonly string[];
}

/** What a selection stands for, in the export that was chosen. Its ids count from 1. */
export function resolve({ names }: Selection, backend: Backend): readonly SelectedContext[] {
  const contexts = contextsOf(backend);
  return names.map((name, index) => {
    const context = contexts.find((candidate) => candidate.name === name);
    return { id: index + 1, context: context ?? lost(name) };
  });
}

/** In place of a context that an export no longer had when it was opened. */
function lost(name: string): MetaContext {
  return {
    name,
    status: () => {
      throw new NbdError('EIO', `The export no longer has the metadata context ${quoted(name)}.`);
    },
  };
}

/** All contexts of a backend. */
function contextsOf(backend: Backend): readonly MetaContext[] {
  return [allocation(backend), ...(backend.contexts ?? [])];
}

/**
 * Those that the client's headers have room for. "The server MUST either omit
 * that context from its successful reply, or else fail the request".
 */
export function selectable(negotiation: Negotiation, entry: Export): readonly MetaContext[] {
  const contexts = contextsOf(entry.backend);
  if (negotiation.headers === HeaderKind.extended) return contexts;
  return contexts.filter(({ wide }) => wide !== true);
}

/** Read the option's data and find the export. Undefined where the client was refused. */
export async function readQueries(
  negotiation: Negotiation,
  data: Buffer,
): Promise<ContextQueries | undefined> {
  const { exportName, queries } = parse(data);
  if (negotiation.headers === HeaderKind.simple) {
    throw badOption('agree on structured replies or extended headers first.');
  }
  if (queries.length > queriesMax) {
    negotiation.refuse(OptionError.tooBig, `At most ${queriesMax} queries are answered at a time.`);
    return undefined;
  }
  const entry = await findExport(negotiation, exportName, 'unknown');
  if (entry === undefined) return undefined;
  if (refusesWide(negotiation, entry, queries)) return undefined;
  return { exportName, entry, queries };
}

/** One NBD_REP_META_CONTEXT. */
export function sendContext(negotiation: Negotiation, id: number, { name }: MetaContext): void {
  const idBytes = Buffer.alloc(4);
  idBytes.writeUInt32BE(id);
  negotiation.reply(OptionReply.metaContext, idBytes, Buffer.from(name));
}

/**
 * The contexts of a backend can be offered.
 * @throws NbdError `NBDCORK_BAD_CONTEXT`.
 */
export function checkContexts(exportName: string, contexts: readonly MetaContext[]): void {
  const names = new Set<string>();
  for (const { name } of contexts) {
    checkString('name of a metadata context', name);
    if (!contextName.test(name) || reservedNamespaces.has(namespaceOf(name))) {
      throw badContext(exportName, name, 'must be NAMESPACE:LEAF, such as x-backup:changed');
    }
    if (names.has(name)) throw badContext(exportName, name, 'is there twice');
    names.add(name);
  }
}

function badContext(exportName: string, name: string, why: string): NbdError {
  return new NbdError(
    'NBDCORK_BAD_CONTEXT',
    `The metadata context ${quoted(name)} of the export ${quoted(exportName)} ${why}.`,
  );
}

function namespaceOf(name: string): string {
  return name.slice(0, name.indexOf(':'));
}

/**
 * Whether the client was refused for a context that it cannot have and named in
 * full; a wildcard merely leaves such ones out.
 */
function refusesWide(
  negotiation: Negotiation,
  { backend }: Export,
  queries: readonly string[],
): boolean {
  if (negotiation.headers === HeaderKind.extended) return false;
  const wide = contextsOf(backend).find(
    (context) => context.wide && queries.includes(context.name),
  );
  if (wide === undefined) return false;
  negotiation.refuse(
    OptionError.extendedHeadersRequired,
    `${quoted(wide.name)} has more than 32 bits: agree on extended headers first.`,
  );
  return true;
}

function parse(data: Buffer): { exportName: string; queries: string[] } {
  const nameLength = uint32At(data, 0);
  const exportName = readString(bytesAt(data, 4, nameLength));
  let at = 4 + nameLength;
  const count = uint32At(data, at);
  at += 4;
  const queries: string[] = [];
  for (let index = 0; index < count; index++) {
    const length = uint32At(data, at);
    queries.push(readQuery(bytesAt(data, at + 4, length)));
    at += 4 + length;
  }
  if (at !== data.byteLength) throw badOption(`${count} queries do not fill the data.`);
  return { exportName, queries };
}

function readQuery(bytes: Buffer): string {
  const query = readString(bytes, 'query');
  if (query.indexOf(':') > 0) return query;
  throw badOption('a query must begin with a namespace and a colon.');
}
