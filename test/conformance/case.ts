import type { Headers } from '../support/byte-client.js';
import { headerKinds } from '../support/byte-client.js';
import { NotOffered, type Client } from './client.js';
import type { DiskKind } from './disks.js';

/** One thing that the specification asks of a server. */
export interface Case {
  /** In proto.md, or an extension of it. */
  readonly section: string;
  readonly level: 'MUST' | 'SHOULD' | 'MAY';
  readonly title: string;
  /** What is served; the one that can be written unless given. */
  readonly disk?: DiskKind;
  /** Throws where the server does otherwise, and NotOffered where it need not do it. */
  readonly check: (connect: () => Promise<Client>) => Promise<void>;
}

/** A client that has answered the greeting. */
export function haggling(
  check: (client: Client) => Promise<void>,
  headers: Headers = 'simple',
): Case['check'] {
  return async (connect) => {
    const client = await connect();
    await client.greet();
    await client.agree(headers);
    await check(client);
  };
}

/** Clients in the transmission phase, with every kind of headers that the server has. */
export function everyKind(
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
      client.leave();
    }
    if (checked === 0 && lacking !== undefined) throw lacking;
  };
}

function withKind(error: unknown, headers: Headers): Error {
  const message = error instanceof Error ? error.message : String(error);
  return new Error(`with ${headers} headers: ${message}`, { cause: error });
}

/** For what the server has only where it has said so. */
export function offered(flags: number, flag: number, name: string): void {
  if ((flags & flag) === 0) throw new NotOffered(`${name} is not set`);
}
