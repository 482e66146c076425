import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Answer, Question } from '../verify/messages.js';
import type { ChainVersion } from '../verify/lineage.js';
import { config, sourcesOf } from './config.js';
import { startWorker, type Asked } from './verification.js';

/**
 * Asks chain and archive something that has one answer.
 * @throws with the reason when node or gateway cannot be asked
 */
export function askChain<Kind extends 'lineage' | 'model'>(
  question: Extract<Asked, { kind: Kind }>,
): Promise<Extract<Answer, { kind: Kind }>> {
  const settings = config.peek();
  const { kind } = question as Asked;
  if (!settings) return Promise.reject(new Error('config.json was not read'));
  return new Promise((resolve, reject) => {
    const worker = startWorker();
    worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => {
      if (data.kind === 'check' || data.kind === 'progress') return;
      worker.terminate();
      if (data.kind === kind) resolve(data as Extract<Answer, { kind: Kind }>);
      else reject(new Error(data.kind === 'stopped' ? data.reason : 'the worker answered something else'));
    });
    worker.addEventListener('error', ({ message }) => {
      worker.terminate();
      reject(new Error(message || 'the worker did not start'));
    });
    worker.postMessage({ ...sourcesOf(settings), ...question } as Question);
  });
}

interface ChainLineage {
  versions: readonly ChainVersion[] | null;
  /** Why there are none. */
  problem: string | null;
}

const lineage = signal<ChainLineage>({ versions: null, problem: null });
let askedAt = 0;
let askedFor = 0;
const again = 30_000;
/** Manifests of so many versions are read for their accuracy when nobody else tells it. */
const newest = 100;

/** `wait`: nothing is asked. `mark`: what is void, from events alone. `read`: everything, since the API is silent. */
export function useChainLineage(want: 'wait' | 'mark' | 'read'): ChainLineage {
  useEffect(() => {
    const manifests = want === 'read' ? newest : 0;
    if (want === 'wait' || (Date.now() - askedAt < again && askedFor >= manifests)) return;
    askedAt = Date.now();
    askedFor = manifests;
    askChain<'lineage'>({ kind: 'lineage', newest: manifests }).then(
      ({ versions }) => (lineage.value = { versions, problem: null }),
      (error: Error) => (lineage.value = { ...lineage.peek(), problem: error.message }),
    );
  }, [want]);
  return lineage.value;
}
