import type { Case } from './case.js';
import { NotOffered, type Client } from './client.js';
import type { Subject } from './servers.js';

export interface Verdict {
  /**
   * `differs`: it does not do what it may do; `lacks`: it need not have this;
   * `hangs`: it did not answer in time.
   */
  readonly is: 'yes' | 'no' | 'differs' | 'lacks' | 'hangs';
  readonly why: string;
}

/** Whether a server does as a case asks, on connections of its own. */
export async function judge(one: Case, subject: Subject, timeoutMs: number): Promise<Verdict> {
  const disk = one.disk ?? 'writable';
  const clients: Client[] = [];
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Verdict>((resolve) => {
    timer = setTimeout(resolve, timeoutMs, {
      is: 'hangs',
      why: `no answer in ${timeoutMs / 1000} s`,
    });
  });
  const checked = one
    .check(async () => {
      const client = await subject.connect(disk);
      clients.push(client);
      return client;
    })
    .then(
      (): Verdict => ({ is: 'yes', why: '' }),
      (error: unknown) => verdictOf(one, error),
    );
  const verdict = await Promise.race([checked, late]);
  clearTimeout(timer);
  for (const client of clients) client.leave();
  if (!subject.hasEnded(disk)) return verdict;
  return { is: 'no', why: `the server ended by itself; ${verdict.why}` };
}

function verdictOf({ level }: Case, error: unknown): Verdict {
  const failed = level === 'MAY' ? 'differs' : 'no';
  const is = error instanceof NotOffered ? 'lacks' : failed;
  const message = error instanceof Error ? error.message : String(error);
  return { is, why: message.split('\n').filter(Boolean).join(' ').replaceAll(/\s+/g, ' ') };
}
