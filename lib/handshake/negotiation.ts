/**
 * Option haggling, from the greeting to the chosen export. Cold code: written
 * to be read beside "Newstyle negotiation" of the specification.
 */
import type { Export, ExportDescription } from '../backend/export.js';
import { codeOf, messageOf, NbdError } from '../errors.js';
import { optionBytesTolerated, type Limits } from '../limits.js';
import type { Agreement } from '../transmission/agreement.js';
import type { Sender } from '../transport/sender.js';
import { HandshakeFlag, magic, OptionError, OptionReply, OptionType } from '../wire/constants.js';
import { HeaderKind } from '../wire/header-kind.js';
import { optionName } from '../wire/names.js';
import { shortened } from '../wire/strings.js';
import type { Channel } from './channel.js';
import type { Client } from './client.js';
import type { ExportCatalog } from './exports.js';
import { blockSizeOf, transmissionFlags } from './flags.js';
import { resolve, type Selection } from './meta-contexts.js';
import { abort } from './options/abort.js';
import { optionHandlers } from './options/index.js';
import type { Security, TlsMode } from './security.js';

const optionHeaderBytes = 16;
const optionReplyHeaderBytes = 20;

/** What becomes of an error that a handler throws; every other one ends the connection. */
const errorReplies: ReadonlyMap<string, number> = new Map([
  ['NBDCORK_BAD_OPTION', OptionError.invalid],
  ['NBDCORK_BAD_STRING', OptionError.invalid],
  ['NBDCORK_EXPORT_DENIED', OptionError.policy],
  ['NBDCORK_EXPORT_UNAVAILABLE', OptionError.unknown],
  // No error is for this: "server-side policy" is the closest.
  ['NBDCORK_LIST_UNAVAILABLE', OptionError.policy],
]);

/** What an option's handler sees and changes. */
export class Negotiation {
  headers: HeaderKind = HeaderKind.simple;
  noZeroes = false;
  /** Set by NBD_OPT_SET_META_CONTEXT. */
  selection: Selection | undefined;
  /** Set by the option that ends the haggling. */
  agreement: Agreement | undefined;
  /** Set by NBD_OPT_ABORT: there is nothing more to haggle about. */
  aborted = false;
  /** Who asks. */
  client: Client;
  /** In effect on this connection: "it MUST be consistent". */
  tlsMode: TlsMode;
  readonly catalog: ExportCatalog;
  readonly limits: Limits;
  private sender: Sender;
  private readonly security: Security;
  private option = 0;
  private stopping = false;

  constructor(
    sender: Sender,
    client: Client,
    catalog: ExportCatalog,
    limits: Limits,
    security: Security,
  ) {
    this.client = client;
    this.sender = sender;
    this.catalog = catalog;
    this.limits = limits;
    this.security = security;
    this.tlsMode = security.mode;
  }

  /** Whether the client may know of an export, as far as TLS is concerned. */
  allows({ tls }: ExportDescription): boolean {
    return tls !== 'require' || this.client.tls !== undefined;
  }

  /** The client has no TLS, and NBD_OPT_STARTTLS would give it. */
  get mayStartTls(): boolean {
    return this.tlsMode !== 'off' && this.client.tls === undefined;
  }

  /** Acknowledge NBD_OPT_STARTTLS and go on with TLS, as if nothing had been said before. */
  async secure(): Promise<void> {
    const { sender, client } = await this.security.startTls(() => {
      this.acknowledge();
    });
    this.sender = sender;
    this.client = client;
    await this.reset();
  }

  /**
   * What holds when the client chooses this export by this name: contexts only where
   * the selection "referred to the same export name that was ultimately selected".
   */
  agreeOn(exportName: string, entry: Export): Agreement {
    const { headers, selection } = this;
    const { backend } = entry;
    const contexts = selection?.exportName === exportName ? resolve(selection, backend) : [];
    const blockSize = blockSizeOf(backend, this.limits.requestBytesMax);
    return {
      export: entry,
      headers,
      contexts,
      transmissionFlags: transmissionFlags(entry, headers, contexts.length > 0, blockSize.maximum),
      blockSize,
    };
  }

  /** Bytes that are no option reply. */
  send(bytes: Uint8Array): void {
    this.sender.send(bytes);
  }

  /** A reply to the option in progress. */
  reply(type: number, ...data: Uint8Array[]): void {
    const header = Buffer.alloc(optionReplyHeaderBytes);
    header.writeUInt32BE(magic.optionReplyHigh, 0);
    header.writeUInt32BE(magic.optionReplyLow, 4);
    header.writeUInt32BE(this.option, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(
      data.reduce((sum, piece) => sum + piece.byteLength, 0),
      16,
    );
    this.sender.sendv([header, ...data]);
  }

  acknowledge(): void {
    this.reply(OptionReply.ack);
  }

  /** An error reply: `text` is shown to people, as much of it as a string may have. */
  refuse(type: number, text: string): void {
    this.reply(type, Buffer.from(shortened(text)));
  }

  /**
   * Haggle until an export is chosen. Undefined where the client aborts.
   * @throws NbdError where the connection cannot go on: close it.
   */
  async run(channel: Channel): Promise<Agreement | undefined> {
    this.greet();
    this.readClientFlags((await channel.take(4)).readUInt32BE(0));
    for (let count = 0; count < this.limits.optionsMax; count++) {
      await this.readOption(channel);
      await this.drained();
      if (this.agreement !== undefined || this.aborted) return this.agreement;
    }
    throw new NbdError(
      'NBDCORK_TOO_MANY_OPTIONS',
      `The client sent ${this.limits.optionsMax} options without choosing an export.`,
    );
  }

  /** The server stops: every further option is told so. */
  stop(): void {
    this.stopping = true;
  }

  /** NBD_OPT_STARTTLS: "the server MUST NOT preserve any negotiation state". */
  private async reset(): Promise<void> {
    this.headers = HeaderKind.simple;
    this.selection = undefined;
    await this.catalog.forget();
  }

  /** The server "SHOULD error further options received (other than an NBD_OPT_ABORT)". */
  private refuseToStart(name: string): void {
    if (this.option === OptionType.exportName) {
      throw new NbdError('NBDCORK_EXPORT_REFUSED', 'The server stops.');
    }
    this.refuse(OptionError.shutdown, `${name}: the server stops.`);
  }

  /** Options are answered no faster than the client reads. */
  private async drained(): Promise<void> {
    if (this.sender.needsDrain) await this.sender.drained();
  }

  private greet(): void {
    const greeting = Buffer.alloc(18);
    greeting.write(magic.init + magic.option, 'latin1');
    greeting.writeUInt16BE(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes, 16);
    this.send(greeting);
  }

  /** "The server MUST drop the TCP connection if the client sets an unknown flag." */
  private readClientFlags(flags: number): void {
    const unknownFlags = flags & ~(HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes);
    if (unknownFlags !== 0) {
      throw new NbdError(
        'NBDCORK_BAD_CLIENT_FLAGS',
        `The client set flags that no server offers: 0x${(unknownFlags >>> 0).toString(16)}.`,
      );
    }
    this.noZeroes = (flags & HandshakeFlag.noZeroes) !== 0;
    if ((flags & HandshakeFlag.fixedNewstyle) === 0) this.withoutOptions();
  }

  /** "The server MUST operate in NOTLS mode unless [...] the client replied with" that flag. */
  private withoutOptions(): void {
    if (this.tlsMode === 'require') {
      throw new NbdError('NBDCORK_TLS_REQUIRED', 'The client is too old to negotiate TLS.');
    }
    this.tlsMode = 'off';
  }

  /**
   * FORCEDTLS: "any other option, including NBD_OPT_INFO and unsupported
   * options". False where the client was told so.
   */
  private mayAnswer(name: string): boolean {
    if (this.tlsMode !== 'require' || this.client.tls !== undefined) return true;
    if (this.option === OptionType.startTls || this.option === OptionType.abort) return true;
    if (this.option === OptionType.exportName) {
      throw new NbdError('NBDCORK_TLS_REQUIRED', `The client sent ${name} without TLS.`);
    }
    this.refuse(
      OptionError.tlsRequired,
      `${name}: this server requires TLS. Send NBD_OPT_STARTTLS first.`,
    );
    return false;
  }

  /** More data than an option may have: NBD_REP_ERR_TOO_BIG, but for the two that never get an error. */
  private refuseData(name: string, length: number): void {
    if (this.option === OptionType.exportName) {
      throw new NbdError('NBDCORK_EXPORT_REFUSED', `${name} names an export in ${length} bytes.`);
    }
    if (this.option === OptionType.abort) abort(this);
    else if (!optionHandlers.has(this.option)) this.refuseUnknown(name);
    else this.refuse(OptionError.tooBig, `${name}: at most ${this.limits.optionBytesMax} bytes.`);
  }

  private refuseUnknown(name: string): void {
    this.refuse(OptionError.unsupported, `${name} is not known to this server.`);
  }

  private async readOption(channel: Channel): Promise<void> {
    const header = await channel.take(optionHeaderBytes);
    if (header.toString('latin1', 0, 8) !== magic.option) {
      throw new NbdError('NBDCORK_BAD_MAGIC', 'An option does not begin with its magic number.');
    }
    this.option = header.readUInt32BE(8);
    const length = header.readUInt32BE(12);
    const name = optionName(this.option);
    // "Replaces all previously-set metadata contexts (including when this command fails)".
    if (this.option === OptionType.setMetaContext) this.selection = undefined;
    if (length > this.limits.optionBytesMax) {
      if (length > optionBytesTolerated) {
        throw new NbdError('NBDCORK_OPTION_TOO_LONG', `${name} announces ${length} bytes of data.`);
      }
      await channel.skip(length);
      if (this.mayAnswer(name)) this.refuseData(name, length);
      return;
    }
    const data = await channel.take(length);
    if (!this.mayAnswer(name)) return;
    const handler = optionHandlers.get(this.option);
    if (handler === undefined) {
      this.refuseUnknown(name);
      return;
    }
    if (this.stopping && this.option !== OptionType.abort) {
      this.refuseToStart(name);
      return;
    }
    try {
      await handler(this, data);
    } catch (error) {
      const reply = errorReplies.get(codeOf(error) ?? '');
      if (reply === undefined) throw error;
      this.refuse(reply, `${name}: ${messageOf(error)}`);
    }
  }
}
