import type { Headers } from '../support/byte-client.js';
import { headerKinds } from '../support/byte-client.js';
import { NotOffered, type Client } from './client.js';
import type { DiskKind } from './disks.js';

/** One requirement of the specification. */
export interface Case {
  /** In proto.md, or an extension of it. */
  readonly section: string;
  readonly level: 'MUST' | 'SHOULD' | 'MAY';
  readonly title: string;
  /** Default: `writable`. */
  readonly disk?: DiskKind;
  /** @throws where the server does not meet it; NotOffered where the feature is optional and absent. */
  readonly check: (connect: () => Promise<Client>) => Promise<void>;
}

/** Check with a client that has answered the greeting. */
export function duringNegotiation(
  check: (client: Client) => Promise<void>,
  headers: Headers = 'simple',
): Case['check'] {
  return async (connect) => {
    const client = await connect();
    await client.greet();
    await client.negotiateHeaders(headers);
    await check(client);
  };
}

/** Check with clients in the transmission phase, with each kind of headers that the server has. */
export function withEachHeaderKind(
  check: (client: Client, flags: number) => Promise<void>,
  kinds: readonly Headers[] = headerKinds,
  contexts: readonly string[] = [],
): Case['check'] {
  return async (connect) => {
    let lacking: NotOffered | undefined;
    let checked = 0;
    for (const headers of kinds) {
      const client = await connect();
      try {
        const { flags } = await client.open(headers, contexts);
        await check(client, flags);
        checked++;
      } catch (error) {
        if (!(error instanceof NotOffered)) throw withKind(error, headers);
        lacking = error;
      }
      client.disconnect();
    }
    if (checked === 0 && lacking !== undefined) throw lacking;
  };
}

function withKind(error: unknown, headers: Headers): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`with ${headers} headers: ${message}`, { cause: error });
}

/** @throws NotOffered where a transmission flag is not set. */
export function requireOffered(flags: number, flag: number, name: string): void {
  if ((flags & flag) === 0) throw new NotOffered(`${name} is not set`);
}
