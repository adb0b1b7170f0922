import type { Backend } from '../../backend/backend.js';

/** The last that is done with a disk: what it was given is stable, what it holds is free. */
export async function closeBackend(backend: Backend): Promise<void> {
  try {
    if (backend.write !== undefined) await backend.flush?.();
  } catch (error) {
    // What may be lost is worse than what stays open.
    await Promise.allSettled([release(backend)]);
    throw error;
  }
  await release(backend);
}

async function release(backend: Backend): Promise<void> {
  await backend.close?.();
}
