import { signal, type Signal } from '@preact/signals';
import type { Check } from '../verify/checks.js';
import type { Answer, Found, Question, Sources } from '../verify/messages.js';
import type { Progress } from '../verify/rewards.js';

declare const WORKER_FILE: string;

export interface Verification {
  state: 'running' | 'done' | 'stopped';
  checks: Check[];
  found: Found;
  ms: number;
  /** Why it stopped before it knew. */
  reason: string | null;
  flipped: boolean;
  /** How far it is; null where that is not said. */
  progress: Progress | null;
}

export const isTrue = ({ state, checks }: Verification): boolean =>
  state === 'done' && checks.length > 0 && checks.every(({ ok }) => ok !== false);
export const isFalse = ({ checks }: Verification): boolean => checks.some(({ ok }) => ok === false);

export type Asked = Question extends infer Q ? (Q extends Question ? Omit<Q, keyof Sources> : never) : never;

export const startWorker = (): Worker =>
  new Worker(new URL(WORKER_FILE, document.baseURI), { type: 'module' });

/** Puts a question to a worker of its own; the signal follows its answers, and its checks come together when it has ended. */
export function verify(
  sources: Sources,
  question: Asked,
  into: Signal<Verification | null> = signal(null),
): Signal<Verification | null> {
  const checks: Check[] = [];
  const flipped = question.kind === 'version' && question.flip;
  const running: Verification = {
    state: 'running',
    checks: [],
    found: { standings: [], payments: [], stakes: [], windows: [] },
    ms: 0,
    reason: null,
    flipped,
    progress: null,
  };
  into.value = running;
  const worker = startWorker();
  const end = (result: Partial<Verification>) => {
    into.value = { ...running, checks, ...result };
    worker.terminate();
  };
  worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => {
    if (data.kind === 'check') checks.push(data.check);
    else if (data.kind === 'progress') into.value = { ...running, progress: data.progress };
    else if (data.kind === 'done') end({ state: 'done', ms: data.ms, found: data.found });
    else if (data.kind === 'stopped') end({ state: 'stopped', reason: data.reason });
  });
  worker.addEventListener('error', (event) =>
    end({ state: 'stopped', reason: event.message || 'the worker did not start' }),
  );
  worker.postMessage({ ...sources, ...question });
  return into;
}

/** Resolves when it has ended. */
export function finished(verification: Signal<Verification | null>): Promise<Verification> {
  return new Promise((resolve) => {
    const stop = verification.subscribe((value) => {
      if (value === null || value.state === 'running') return;
      resolve(value);
      queueMicrotask(() => stop());
    });
  });
}
