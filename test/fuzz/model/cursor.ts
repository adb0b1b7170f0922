/** Reads what a client sends, field by field. Shares no code with lib/. */

/** The stream ends here: the server waits for more bytes. */
export class EndOfBytes extends Error {}
/** Complete but invalid data: NBD_REP_ERR_INVALID. */
export class Malformed extends Error {}

const stringBytesMax = 4096;

export class Cursor {
  at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** @throws EndOfBytes, and consumes nothing then. */
  take(count: number): Buffer {
    if (this.at + count > this.bytes.length) throw new EndOfBytes();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** The remaining bytes, without consuming them. */
  rest(): Buffer {
    return this.bytes.subarray(this.at);
  }

  u16(): number {
    return this.take(2).readUInt16BE(0);
  }

  u32(): number {
    return this.take(4).readUInt32BE(0);
  }

  u64(): bigint {
    return this.take(8).readBigUInt64BE(0);
  }

  /** For data of known length: a field past the end is malformed. */
  u16OrMalformed(): number {
    return this.orMalformed(() => this.u16());
  }

  u32OrMalformed(): number {
    return this.orMalformed(() => this.u32());
  }

  /** "Conventions": UTF-8 without NUL, at most 4096 bytes. */
  string(length: number): string {
    const bytes = this.orMalformed(() => this.take(length));
    const text = bytes.toString('utf8');
    const isUtf8 = Buffer.from(text).equals(bytes);
    if (length > stringBytesMax || bytes.includes(0) || !isUtf8) throw new Malformed();
    return text;
  }

  expectEnd(): void {
    if (this.at !== this.bytes.length) throw new Malformed();
  }

  private orMalformed<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof EndOfBytes) throw new Malformed();
      throw error;
    }
  }
}
