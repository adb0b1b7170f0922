import type { Export } from '../backend/export.js';
import type { MaybePromise } from '../backend/maybe-promise.js';
import type { Limits } from '../limits.js';
import type { Agreement } from '../transmission/agreement.js';
import type { Sender } from '../transport/sender.js';
import { OptionReply } from '../wire/constants.js';
import { optionReplyHeaderBytes, writeOptionReplyHeader } from '../wire/handshake.js';
import { HeaderKind } from '../wire/header-kind.js';
import { optionName } from '../wire/names.js';
import { encodeUtf8, shortened } from '../wire/strings.js';
import type { Client, Security, TlsMode } from './client.js';
import type { ExportCatalog } from './export-catalog.js';
import { blockSizeOf, transmissionFlags } from './flags.js';
import { resolveSelection, type Selection } from './meta-contexts.js';

/** The state of option haggling: what the handler of an option may see and do. */
export class Conversation {
  /** The option that is being answered: one of `OptionType`, or unknown. */
  option = 0;
  headers: HeaderKind = HeaderKind.simple;
  noZeroes = false;
  /** Exports in the longest answer to NBD_OPT_LIST. */
  exportsListed = 0;
  /** The name of the export whose disk the client waits for. */
  awaitedExport: string | undefined;
  /** Set by NBD_OPT_SET_META_CONTEXT. */
  selection: Selection | undefined;
  /** Set by the option that ends option haggling. */
  agreement: Agreement | undefined;
  /** Set by NBD_OPT_ABORT. */
  aborted = false;
  /** The server is shutting down: options are refused. */
  stopping = false;
  client: Client;
  /** In effect on this connection: "it MUST be consistent". */
  tlsMode: TlsMode;
  readonly catalog: ExportCatalog;
  readonly limits: Limits;
  private sender: Sender;
  private readonly security: Security;

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

  /** `NBD_OPT_GO` and so on. */
  get optionName(): string {
    return optionName(this.option);
  }

  /** The client has no TLS yet, and NBD_OPT_STARTTLS is available to it. */
  get mayStartTls(): boolean {
    return this.tlsMode !== 'off' && this.client.tls === undefined;
  }

  /** Continues with TLS: "the server MUST NOT preserve any negotiation state". */
  async startTls(): Promise<void> {
    const { sender, client } = await this.security.startTls(() => {
      this.acknowledge();
    });
    this.sender = sender;
    this.client = client;
    this.headers = HeaderKind.simple;
    this.selection = undefined;
    await this.catalog.forget();
  }

  /**
   * What is agreed on if the client chooses this export by this name. Contexts: only if
   * the selection "referred to the same export name that was ultimately selected".
   */
  agreementOn(exportName: string, entry: Export): Agreement {
    const { headers, selection } = this;
    const { backend } = entry;
    const contexts =
      selection?.exportName === exportName ? resolveSelection(selection, backend) : [];
    const blockSize = blockSizeOf(backend, this.limits.requestBytesMax);
    return {
      export: entry,
      headers,
      contexts,
      transmissionFlags: transmissionFlags(entry, headers, contexts.length > 0, blockSize.maximum),
      blockSize,
    };
  }

  /** Does `work`, which may wait for the disk of an export. */
  async awaitDisk<T>(exportName: string, work: () => MaybePromise<T>): Promise<T> {
    this.awaitedExport = exportName;
    try {
      return await work();
    } finally {
      this.awaitedExport = undefined;
    }
  }

  /** Sends bytes that are not an option reply. */
  send(bytes: Uint8Array): void {
    this.sender.send(bytes);
  }

  /** Sends a reply to the option. */
  reply(type: number, ...data: Uint8Array[]): void {
    const header = new Uint8Array(optionReplyHeaderBytes);
    const length = data.reduce((sum, piece) => sum + piece.byteLength, 0);
    writeOptionReplyHeader(new DataView(header.buffer), 0, { option: this.option, type, length });
    this.sender.sendv([header, ...data]);
  }

  acknowledge(): void {
    this.reply(OptionReply.ack);
  }

  /** Sends an error reply with a message for people, as much of it as fits. */
  refuse(type: number, message: string): void {
    this.reply(type, encodeUtf8(shortened(`${this.optionName}: ${message}`)));
  }

  /** Options are answered no faster than the client reads. */
  async drained(): Promise<void> {
    if (this.sender.needsDrain) await this.sender.drained();
  }
}
