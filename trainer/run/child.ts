/**
 * The training process: serves one request at a time over Node's channel to its parent and ends with it. It holds
 * nothing that is lost when it is killed. Argument: the number of threads of requests whose bits matter, 1 or 2. For the
 * others the fastest device is looked for, once.
 */
import { availableParallelism } from 'node:os';
import { isRoundtableError } from '#core/errors.js';
import { check } from '../check/check.js';
import { findProvider } from './device.js';
import { evaluate } from './evaluate.js';
import type { ChildAnswer, ChildRequest, TrainRequest } from './messages.js';
import { Sessions } from './sessions.js';
import { train } from './train.js';

const exact = new Sessions(process.argv[2] === '2' ? 2 : 1, 'cpu');
let fast: Promise<Sessions> | undefined;

process.on('disconnect', () => process.exit());
process.on('message', (message: ChildRequest) => void serve(message));

function sessionsOf({ determinism }: TrainRequest): Sessions | Promise<Sessions> {
  if (determinism !== 'fast') return exact;
  return (fast ??= findProvider().then((provider) => new Sessions(availableParallelism(), provider)));
}

async function serve(message: ChildRequest): Promise<void> {
  try {
    answer({ kind: 'done', result: await perform(message) });
  } catch (error) {
    answer(failure(error));
  }
}

async function perform(message: ChildRequest) {
  switch (message.kind) {
    case 'train':
      return train(await sessionsOf(message.request), message.request, (progress) =>
        answer({ kind: 'progress', progress }),
      );
    case 'evaluate':
      return evaluate(exact, message.request);
    case 'check':
      return check(message.request);
  }
}

/** An answer that cannot be sent has no parent to go to. */
function answer(message: ChildAnswer): void {
  process.send?.(message, undefined, {}, (error) => {
    if (error) process.exit();
  });
}

function failure(error: unknown): ChildAnswer {
  if (isRoundtableError(error))
    return { kind: 'failed', code: error.code, message: error.message, details: { ...error.details } };
  const message = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return {
    kind: 'failed',
    code: 'INTERNAL',
    message: `The training process failed: ${message}`,
    details: {},
  };
}
