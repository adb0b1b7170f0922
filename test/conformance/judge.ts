import type { Case } from './case.js';
import { NotOffered, type Client } from './client.js';
import type { Subject } from './servers.js';

export interface Verdict {
  /**
   * `differs`: it does not do what it MAY do; `lacks`: it does not have an optional
   * feature; `hangs`: it did not answer in time.
   */
  readonly result: 'yes' | 'no' | 'differs' | 'lacks' | 'hangs';
  readonly reason: string;
}

/** Run a case on a server, over its own connections. */
export async function judge(one: Case, subject: Subject, timeoutMs: number): Promise<Verdict> {
  const disk = one.disk ?? 'writable';
  const clients: Client[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Verdict>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, {
      result: 'hangs',
      reason: `no answer in ${timeoutMs / 1000} s`,
    });
  });
  const checked = one
    .check(async () => {
      const client = await subject.connect(disk);
      clients.push(client);
      return client;
    })
    .then(
      (): Verdict => ({ result: 'yes', reason: '' }),
      (error: unknown) => verdictOf(one, error),
    );
  const verdict = await Promise.race([checked, late]);
  clearTimeout(timer);
  for (const client of clients) client.disconnect();
  if (!subject.hasEnded(disk)) return verdict;
  return { result: 'no', reason: `the server exited; ${verdict.reason}` };
}

function verdictOf({ level }: Case, error: unknown): Verdict {
  const failed = level === 'MAY' ? 'differs' : 'no';
  const result = error instanceof NotOffered ? 'lacks' : failed;
  const message = error instanceof Error ? error.message : String(error);
  return { result, reason: message.split('\n').filter(Boolean).join(' ').replaceAll(/\s+/g, ' ') };
}
