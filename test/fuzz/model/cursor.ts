/** Reads what a client sends, field by field. Shares nothing with lib/. */

/** The stream ends here: a server waits for more. */
export class EndOfBytes extends Error {}
/** Data that are there, and wrong: NBD_REP_ERR_INVALID. */
export class Malformed extends Error {}

const stringBytesMax = 4096;

export class Cursor {
  at = 0;
  private readonly bytes: Buffer;

  constructor(bytes: Buffer, at = 0) {
    this.bytes = bytes;
    this.at = at;
  }

  /** @throws EndOfBytes, with nothing taken. */
  take(count: number): Buffer {
    if (this.at + count > this.bytes.length) throw new EndOfBytes();
    this.at += count;
    return this.bytes.subarray(this.at - count, this.at);
  }

  /** All that is left, which is not taken. */
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

  /** These are for data whose end is known. */
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
