import type { ExportDescription } from '../../backend/export.js';
import { messageOf, NbdError } from '../../errors.js';
import type { Client } from '../../handshake/client.js';
import { quoted } from '../../quoted.js';
import type { AccessControl } from '../access.js';
import { Backends } from './backends.js';
import {
  checkBackend,
  checkDescription,
  checkOptions,
  isObject,
  optionsOf,
} from './check-export.js';
import type { ExportFinder, ExportOptions, Exports, Logger } from '../options.js';

export interface CatalogOptions {
  readonly access: AccessControl;
  /** The name of the export that clients get who ask for none. */
  readonly defaultExport: string | undefined;
  readonly openExportsMax: number;
  readonly logger: Logger;
}

/**
 * The exports of a server: which there are, and for whom.
 */
export class Catalog {
  private readonly fixed: ReadonlyMap<string, ExportOptions>;
  private readonly finder: ExportFinder | undefined;
  private readonly options: CatalogOptions;
  readonly backends: Backends;

  /** @throws NbdError `NBDCORK_BAD_EXPORT` or `NBDCORK_BAD_STRING` for an export that no client could use. */
  constructor(exports: Exports, options: CatalogOptions) {
    if (!isObject(exports)) {
      throw badExport('There are no exports: give an object of them, by their names, or a finder.');
    }
    this.options = options;
    this.finder = isFinder(exports) ? exports : undefined;
    this.fixed = new Map(
      Object.entries(isFinder(exports) ? {} : exports).map(([name, value]) => {
        const entry = optionsOf(value);
        checkOptions(name, entry);
        if (typeof entry.backend !== 'function') checkBackend(name, entry.backend);
        return [name, entry];
      }),
    );
    const { defaultExport } = options;
    if (this.finder === undefined && this.fixed.size === 0) {
      throw badExport('There is nothing to serve: give one export or more.');
    }
    if (
      this.finder === undefined &&
      defaultExport !== undefined &&
      !this.fixed.has(defaultExport)
    ) {
      throw badExport(`The default export '${defaultExport}' is not among the exports.`);
    }
    const backends = [...this.fixed.values()].map(({ backend }) => backend);
    this.backends = new Backends(
      backends.filter((backend) => typeof backend !== 'function'),
      // Only who is found by name can be any number.
      this.finder === undefined ? Infinity : options.openExportsMax,
      options.logger,
    );
  }

  /** Those that were given by name. */
  get names(): readonly string[] {
    return [...this.fixed.keys()];
  }

  /** As far as can be said before it is asked for. */
  requiresTls(name: string): boolean {
    return this.fixed.get(this.nameOf(name))?.tls === 'require';
  }

  /**
   * Undefined where there is none, or none without TLS.
   * @throws NbdError `NBDCORK_EXPORT_DENIED` or `NBDCORK_EXPORT_UNAVAILABLE`.
   */
  async find(
    asked: string,
    client: Client,
    mayStartTls: boolean,
  ): Promise<(ExportDescription & ExportOptions) | undefined> {
    const name = this.nameOf(asked);
    if (!(await this.options.access.allows(client, name))) {
      // Without TLS it does not exist for this client, which is told to start TLS as
      // of what does not exist at all: so names stay hidden.
      if (mayStartTls) return undefined;
      throw denied(name);
    }
    const entry = this.fixed.get(name) ?? (await this.make(name, client));
    if (entry === undefined) return undefined;
    if (entry.tls === 'require' && client.tls === undefined) {
      await this.backends.hold(name, entry.backend);
      return undefined;
    }
    return { ...entry, name };
  }

  /** Who asks for no export gets the default one, where there is none without a name. */
  private nameOf(asked: string): string {
    return asked === '' && !this.fixed.has('') ? (this.options.defaultExport ?? '') : asked;
  }

  /** @throws NbdError `NBDCORK_LIST_UNAVAILABLE`. */
  async list(client: Client): Promise<readonly ExportDescription[]> {
    try {
      return await this.listFor(client);
    } catch (error) {
      this.options.logger.error({ err: error }, `exports cannot be listed: ${messageOf(error)}`);
      throw new NbdError(
        'NBDCORK_LIST_UNAVAILABLE',
        "The exports cannot be listed now. The server's log says why.",
        error,
      );
    }
  }

  private async listFor(client: Client): Promise<readonly ExportDescription[]> {
    const entries =
      this.finder === undefined
        ? [...this.fixed].map(([name, entry]) => ({ ...entry, name }))
        : ((await this.finder.list?.(client)) ?? []);
    const listed: ExportDescription[] = [];
    for (const entry of entries) {
      if (this.isListable(entry) && (await this.options.access.allows(client, entry.name)))
        listed.push(entry);
    }
    return listed;
  }

  /** Of what a finder lists: the log tells of what no client could be told. */
  private isListable(entry: ExportDescription): boolean {
    try {
      checkDescription(entry);
      return true;
    } catch (error) {
      this.options.logger.error({ err: error }, `an export cannot be listed: ${messageOf(error)}`);
      return false;
    }
  }

  private make(name: string, client: Client): Promise<ExportOptions | undefined> {
    return this.backends.attempt(name, async () => {
      const value = await this.finder?.find(name, client);
      if (value === undefined) return undefined;
      const entry = optionsOf(value);
      try {
        checkOptions(name, entry);
      } catch (error) {
        if (isObject(entry)) await this.backends.discard(entry.backend);
        throw error;
      }
      return entry;
    });
  }
}

function isFinder(exports: Exports): exports is ExportFinder {
  return typeof exports.find === 'function';
}

function badExport(message: string): NbdError {
  return new NbdError('NBDCORK_BAD_EXPORT', message);
}

function denied(name: string): NbdError {
  return new NbdError(
    'NBDCORK_EXPORT_DENIED',
    `The export ${quoted(name)} is not for this client.`,
  );
}
