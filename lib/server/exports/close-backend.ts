import type { Backend } from '../../backend/backend.js';

/** Flushes and closes a backend. */
export async function closeBackend(backend: Backend): Promise<void> {
  try {
    if (backend.write !== undefined) await backend.flush?.();
  } catch (error) {
    // The error of flush matters more: data may be lost.
    await Promise.allSettled([release(backend)]);
    throw error;
  }
  await release(backend);
}

async function release(backend: Backend): Promise<void> {
  await backend.close?.();
}
