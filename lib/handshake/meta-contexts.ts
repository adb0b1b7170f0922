/** Which metadata contexts an export has, and a client's selection of them: "Metadata querying". */
import type { Backend, MetaContext } from '../backend/backend.js';
import { NbdError } from '../errors.js';
import { quoted } from '../quoted.js';
import type { SelectedContext } from '../transmission/agreement.js';
import { HeaderKind } from '../wire/header-kind.js';
import { allocation } from './allocation.js';
import { checkString } from './strings.js';

/** "Printable non-whitespace UTF-8 characters other than colons", and one at least. */
const contextName = /^[^\p{C}\p{Z}\s:]+:[^]+$/u;
/** The specification defines their contexts. */
const reservedNamespaces: ReadonlySet<string> = new Set(['base', 'nbd-server']);

/** The contexts that a client has selected, until it chooses an export. */
export interface Selection {
  /** As the client named it: the selection is valid only if it then chooses the same export. */
  readonly exportName: string;
  readonly names: readonly string[];
}

/** All contexts of a backend. */
export function contextsOf(backend: Backend): readonly MetaContext[] {
  return [allocation(backend), ...(backend.contexts ?? [])];
}

/**
 * The contexts whose flags fit the client's headers. "The server MUST either omit
 * that context from its successful reply, or else fail the request".
 */
export function selectableContexts(backend: Backend, headers: HeaderKind): readonly MetaContext[] {
  const contexts = contextsOf(backend);
  if (headers === HeaderKind.extended) return contexts;
  return contexts.filter(({ wide }) => wide !== true);
}

/** The selected contexts of the export that was chosen. Ids count from 1. */
export function resolveSelection(
  { names }: Selection,
  backend: Backend,
): readonly SelectedContext[] {
  const contexts = contextsOf(backend);
  return names.map((name, index) => {
    const context = contexts.find((candidate) => candidate.name === name);
    return { id: index + 1, context: context ?? missingContext(name) };
  });
}

/** Stands for a context that the export had when it was selected, and no longer has. */
function missingContext(name: string): MetaContext {
  return {
    name,
    status: () => {
      throw new NbdError('EIO', `The export no longer has the metadata context ${quoted(name)}.`);
    },
  };
}

/**
 * Checks that a backend's contexts can be offered to clients.
 * @throws NbdError `NBDCORK_BAD_CONTEXT` or `NBDCORK_BAD_STRING`.
 */
export function checkContexts(exportName: string, contexts: readonly MetaContext[]): void {
  const names = new Set<string>();
  for (const { name } of contexts) {
    checkString('name of a metadata context', name);
    if (!contextName.test(name) || reservedNamespaces.has(namespaceOf(name))) {
      throw badContext(exportName, name, 'must be NAMESPACE:LEAF, such as x-backup:changed');
    }
    if (names.has(name)) throw badContext(exportName, name, 'is defined twice');
    names.add(name);
  }
}

function badContext(exportName: string, name: string, problem: string): NbdError {
  return new NbdError(
    'NBDCORK_BAD_CONTEXT',
    `The metadata context ${quoted(name)} of the export ${quoted(exportName)} ${problem}.`,
  );
}

function namespaceOf(name: string): string {
  return name.slice(0, name.indexOf(':'));
}
