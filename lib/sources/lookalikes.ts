/** Sources that are no paths, although they have the prefix of no source. */

interface Lookalike {
  readonly pattern: RegExp;
  readonly words: (text: string) => string;
}

const lookalikes: readonly Lookalike[] = [
  {
    pattern: /^(?:mem|ram|memory)[:=]?\d/i,
    words: (text) =>
      `"${text}" is not a source. A disk in memory is memory:${text.replace(/^[a-z]+[:=]?/i, '')}.`,
  },
  {
    pattern: /^nbds?(?:\+[a-z]+)?:/i,
    words: (text) =>
      `"${text}" is the URI of an NBD server, whose disk cannot be served again. ` +
      'Attach it with nbd-client, and serve the device.',
  },
  {
    pattern: /^[a-z][a-z0-9+.-]*:\/\//i,
    words: (text) => `"${text}" is a URL. Download what it names, and serve the file.`,
  },
  {
    pattern: /^-$/,
    words: () => 'Standard input is not a disk. Write it to a file, and serve that.',
  },
];

/** What to say of `text` where no file of this name exists, if it looks like something else. */
export function wordsFor(text: string): string | undefined {
  return lookalikes.find(({ pattern }) => pattern.test(text))?.words(text);
}
