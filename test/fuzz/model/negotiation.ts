/**
 * A model of the handshake: derives from everything that a client sends what the
 * fuzzed server has to answer. Shares no code with lib/.
 */
import { info, opt, rep, transmission, u16, u32, u64 } from '../../support/numbers.js';
import { Cursor, EndOfBytes, Malformed } from './cursor.js';
import {
  limits,
  listedNames,
  lookUp,
  profiles,
  type ContextProfile,
  type Profile,
} from './profiles.js';

type Headers = 'simple' | 'structured' | 'extended';

/** The answer to an option: replies in any order, then the final one. */
interface OptionAnswer {
  readonly option: number;
  readonly replies: readonly { readonly type: number; readonly data: Buffer }[];
  readonly final: number;
}

/** NBD_OPT_EXPORT_NAME is answered by bytes without a header. */
export type Answer = OptionAnswer | { readonly bytes: Buffer };

/** What was negotiated. */
export interface Agreement {
  readonly profile: Profile;
  readonly headers: Headers;
  readonly flags: number;
  /** Their ids count from 1. */
  readonly contexts: readonly ContextProfile[];
}

/**
 * How a phase ends: `open` waits for more, `left` after the client disconnects in
 * order, `broken` where the server has to close the connection.
 */
export type Ending = 'open' | 'left' | 'broken';

export interface Negotiation {
  readonly answers: readonly Answer[];
  readonly agreement: Agreement | undefined;
  /** Of the handshake, where `agreement` is undefined. */
  readonly ending: Ending;
  /** Bytes consumed. */
  readonly length: number;
}

/** Options whose data may be too long. Unknown ones are unsupported at any length. */
const knownOptions = new Set<number>([
  ...[opt.exportName, opt.list, opt.startTls, opt.info, opt.go, opt.structuredReply],
  ...[opt.listMetaContext, opt.setMetaContext, opt.extendedHeaders],
]);

/** The server "MUST initiate a hard disconnect" or may: NBD_OPT_EXPORT_NAME, wrong magic, attacks. */
class Disconnect extends Error {}

const errExtHeaderReqd = rep.errExtHeaderReqd;
/** Longer option data are an attack. */
const optionBytesTolerated = 2 ** 20;
const queriesMax = 1024;
/** Options more for each export that was listed. */
const optionsPerExport = 8;

export function readNegotiation(bytes: Buffer): Negotiation {
  const reader = new NegotiationReader(bytes);
  let ending: Ending = 'open';
  try {
    reader.run();
    if (reader.agreement === undefined) ending = 'left';
  } catch (error) {
    if (error instanceof Disconnect) ending = 'broken';
    else if (!(error instanceof EndOfBytes)) throw error;
  }
  const { answers, agreement, length } = reader;
  return { answers, agreement, ending, length };
}

class NegotiationReader {
  readonly answers: Answer[] = [];
  agreement: Agreement | undefined;
  /** Grows when the exports are listed. */
  private optionsMax: number = limits.optionsMax;
  private readonly cursor: Cursor;
  private headers: Headers = 'simple';
  private noZeroes = false;
  private selection: { name: string; contexts: ContextProfile[] } | undefined;
  private replies: { type: number; data: Buffer }[] = [];

  constructor(bytes: Buffer) {
    this.cursor = new Cursor(bytes);
  }

  get length(): number {
    return this.cursor.at;
  }

  run(): void {
    const flags = this.cursor.u32();
    if (flags > 3) throw new Disconnect();
    this.noZeroes = (flags & 2) !== 0;
    for (let count = 0; count < this.optionsMax; count++) {
      const option = this.readOption();
      if (option === opt.abort || this.agreement !== undefined) return;
    }
    throw new Disconnect();
  }

  private readOption(): number {
    const { cursor } = this;
    const header = cursor.take(16);
    if (header.toString('latin1', 0, 8) !== 'IHAVEOPT') throw new Disconnect();
    const option = header.readUInt32BE(8);
    const length = header.readUInt32BE(12);
    if (length > optionBytesTolerated) throw new Disconnect();
    const data = cursor.take(length);
    this.replies = [];
    // "Replaces all previously-set metadata contexts (including when this command fails)".
    if (option === opt.setMetaContext) this.selection = undefined;
    if (option === opt.exportName) this.exportName(data);
    else {
      const final = this.answer(option, data);
      this.answers.push({ option, replies: this.replies, final });
    }
    return option;
  }

  /** The type of the final reply. */
  private answer(option: number, data: Buffer): number {
    // "A server SHOULD ignore any data sent by the client".
    if (option === opt.abort) return rep.ack;
    if (data.length > limits.optionBytesMax && knownOptions.has(option)) return rep.errTooBig;
    try {
      return this.answerWellFormed(option, data);
    } catch (error) {
      if (error instanceof Malformed) return rep.errInvalid;
      throw error;
    }
  }

  private answerWellFormed(option: number, data: Buffer): number {
    const empty: number[] = [opt.list, opt.startTls, opt.structuredReply, opt.extendedHeaders];
    if (empty.includes(option) && data.length > 0) return rep.errInvalid;
    switch (option) {
      case opt.list:
        this.list();
        return rep.ack;
      case opt.startTls:
        return rep.errPolicy;
      case opt.structuredReply:
        if (this.headers === 'extended') return errExtHeaderReqd;
        this.headers = 'structured';
        return rep.ack;
      case opt.extendedHeaders:
        if (this.headers === 'extended') return rep.errInvalid;
        this.headers = 'extended';
        return rep.ack;
      case opt.info:
      case opt.go:
        return this.describe(option, data);
      case opt.listMetaContext:
      case opt.setMetaContext:
        return this.metaContexts(option, data);
      default:
        return rep.errUnsup;
    }
  }

  private list(): void {
    this.optionsMax = limits.optionsMax + optionsPerExport * listedNames.length;
    for (const name of listedNames) {
      const description = profiles.find((profile) => profile.name === name)?.description ?? '';
      const bytes = [u32(Buffer.byteLength(name)), Buffer.from(name), Buffer.from(description)];
      this.replies.push({ type: rep.server, data: Buffer.concat(bytes) });
    }
  }

  private exportName(data: Buffer): void {
    if (this.headers === 'extended' || data.length > limits.optionBytesMax) throw new Disconnect();
    const name = nameOrDisconnect(data);
    const found = lookUp(name);
    if ('error' in found) throw new Disconnect();
    this.agree(name, found.profile);
    const zeroes = Buffer.alloc(this.noZeroes ? 0 : 124);
    const size = u64(found.profile.base.length);
    this.answers.push({ bytes: Buffer.concat([size, u16(this.agreement?.flags ?? 0), zeroes]) });
  }

  private describe(option: number, data: Buffer): number {
    const cursor = new Cursor(data);
    const name = cursor.string(cursor.u32OrMalformed());
    const wanted = Array.from({ length: cursor.u16OrMalformed() }, () => cursor.u16OrMalformed());
    cursor.expectEnd();
    const found = lookUp(name);
    if ('error' in found) return found.error;
    const { profile } = found;
    const { minimum, preferred, maximum } = profile;
    this.info(info.export, u64(profile.base.length), u16(this.flags(name, profile)));
    this.info(info.blockSize, u32(minimum), u32(preferred), u32(maximum));
    if (wanted.includes(info.name)) this.info(info.name, Buffer.from(profile.name));
    if (wanted.includes(info.description) && profile.description !== undefined) {
      this.info(info.description, Buffer.from(profile.description));
    }
    if (minimum > 1 && !wanted.includes(info.blockSize)) return rep.errBlockSizeReqd;
    if (option === opt.go) this.agree(name, profile);
    return rep.ack;
  }

  private info(type: number, ...data: Buffer[]): void {
    this.replies.push({ type: rep.info, data: Buffer.concat([u16(type), ...data]) });
  }

  private metaContexts(option: number, data: Buffer): number {
    const { name, queries } = readQueries(data);
    if (this.headers === 'simple') return rep.errInvalid;
    if (queries.length > queriesMax) return rep.errTooBig;
    const found = lookUp(name);
    if ('error' in found) return found.error;
    const { contexts } = found.profile;
    const narrow = this.headers !== 'extended';
    // "The server MUST either omit that context [...], or else fail the request".
    if (narrow && contexts.some((one) => one.wide && queries.includes(one.name))) {
      return errExtHeaderReqd;
    }
    const offered = contexts.filter(({ wide }) => !(wide && narrow));
    if (option === opt.listMetaContext) {
      const all = queries.length === 0;
      const matching = offered.filter((one) => all || queries.some((query) => matches(query, one)));
      this.contextReplies(matching, () => 0);
      return rep.ack;
    }
    const selected = offered.filter((one) => queries.includes(one.name));
    if (selected.length > limits.contextsMax) return rep.errTooBig;
    this.selection = { name, contexts: selected };
    this.contextReplies(selected, (index) => index + 1);
    return rep.ack;
  }

  private contextReplies(contexts: ContextProfile[], id: (index: number) => number): void {
    for (const [index, { name }] of contexts.entries()) {
      const data = Buffer.concat([u32(id(index)), Buffer.from(name)]);
      this.replies.push({ type: rep.metaContext, data });
    }
  }

  private agree(name: string, profile: Profile): void {
    const flags = this.flags(name, profile);
    this.agreement = { profile, headers: this.headers, flags, contexts: this.contextsFor(name) };
  }

  private contextsFor(name: string): readonly ContextProfile[] {
    return this.selection?.name === name ? this.selection.contexts : [];
  }

  private flags(name: string, { flags, maximum }: Profile): number {
    const readsWhole = maximum >= 65_536;
    const chunked = this.headers === 'simple' || !readsWhole ? 0 : transmission.sendDf;
    const listsContexts = this.headers === 'extended' && this.contextsFor(name).length > 0;
    return flags | chunked | (listsContexts ? transmission.blockStatusPayload : 0);
  }
}

function nameOrDisconnect(data: Buffer): string {
  try {
    return new Cursor(data).string(data.length);
  } catch {
    throw new Disconnect();
  }
}

function readQueries(data: Buffer): { name: string; queries: string[] } {
  const cursor = new Cursor(data);
  const name = cursor.string(cursor.u32OrMalformed());
  const count = cursor.u32OrMalformed();
  const queries: string[] = [];
  for (let index = 0; index < count; index++) {
    const query = cursor.string(cursor.u32OrMalformed());
    if (query.indexOf(':') < 1) throw new Malformed();
    queries.push(query);
  }
  cursor.expectEnd();
  return { name, queries };
}

/** `NAMESPACE:` is a wildcard. */
function matches(query: string, { name }: ContextProfile): boolean {
  return query === name || query === name.slice(0, name.indexOf(':') + 1);
}
