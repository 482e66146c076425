import { fork, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { RoundtableError } from '#core/errors.js';
import type { CheckRequest, CheckResult } from '../check/check.js';
import type {
  ChildAnswer,
  ChildResult,
  ChildRequest,
  EvaluateRequest,
  EvaluateResult,
  TrainProgress,
  TrainRequest,
  TrainResult,
} from './messages.js';
import { defaultMemory, watch } from './watch.js';

export type {
  EvaluateRequest,
  EvaluateResult,
  TrainProgress,
  TrainRequest,
  TrainResult,
} from './messages.js';

/**
 * Trains and evaluates in a child process, because onnxruntime blocks while it runs and can only be stopped by ending
 * its process. The child is started by the first request, kept warm for the next, and started again after it died.
 *
 * @example
 * const training = new TrainingProcess();
 * const { loss } = await training.train({ graph, weights, data, out, loss: 'softmax_cross_entropy', ... });
 * await training.close();
 */
export class TrainingProcess {
  readonly #childPath: string;
  readonly #threads: 1 | 2;
  readonly #memoryBytes: number;
  #child: ChildProcess | undefined;
  #closed = false;
  /** Settles when the last request in the queue has been served. */
  #queue: Promise<unknown> = Promise.resolve();

  /**
   * `threads`: of requests whose bits matter, 1 or 2; training repeats to the bit only with the same number.
   * `memoryBytes`: a child that takes more is ended; three quarters of the machine unless told.
   */
  constructor(options: { childPath?: string; threads?: 1 | 2; memoryBytes?: number } = {}) {
    this.#childPath = options.childPath ?? findChild();
    this.#threads = options.threads ?? 1;
    this.#memoryBytes = options.memoryBytes ?? defaultMemory();
  }

  /** Process id of the child while there is one. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Writes the trained weights to `request.out`. Requests wait for each other.
   * @param options seconds after which the child is ended; none unless told, for a training of one's own
   * @throws what train.ts throws; TRAINING_CHILD_DIED, after which the request can be made again; TRAINING_LIMIT
   * when it took more time or memory than it may; TRAINING_ABORTED when `signal` fires, once the child has ended.
   */
  async train(
    request: TrainRequest,
    options: {
      onProgress?: (progress: TrainProgress) => void;
      signal?: AbortSignal;
      seconds?: number;
    } = {},
  ): Promise<TrainResult> {
    return (await this.#request({ kind: 'train', request }, options)) as TrainResult;
  }

  /** @throws as train */
  async evaluate(
    request: EvaluateRequest,
    options: { signal?: AbortSignal; seconds?: number } = {},
  ): Promise<EvaluateResult> {
    const limited = { seconds: LONGEST_ANSWER, ...options };
    return (await this.#request({ kind: 'evaluate', request }, limited)) as EvaluateResult;
  }

  /** Compares the trainer with a reference. @throws as check */
  async check(
    request: CheckRequest,
    options: { signal?: AbortSignal; seconds?: number } = {},
  ): Promise<CheckResult> {
    const limited = { seconds: LONGEST_ANSWER, ...options };
    return (await this.#request({ kind: 'check', request }, limited)) as CheckResult;
  }

  /** Ends the child. Requests that were not answered fail with TRAINING_ABORTED. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#kill();
    await this.#queue;
  }

  #request(message: ChildRequest, options: RequestOptions): Promise<ChildResult> {
    const served = this.#queue.then(() => this.#serve(message, options));
    this.#queue = served.catch(() => undefined);
    return served;
  }

  async #serve(
    message: ChildRequest,
    { onProgress, signal, seconds = Infinity }: RequestOptions,
  ): Promise<ChildResult> {
    if (this.#closed || signal?.aborted) throw aborted();
    const child = (this.#child ??= this.#start());
    const abort = () => void this.#kill();
    signal?.addEventListener('abort', abort);
    let exceeded: string | null = null;
    const unwatch = watch(child, { memoryBytes: this.#memoryBytes, seconds }, (why) => {
      exceeded = why;
      abort();
    });
    const whyKilled = () => {
      if (exceeded !== null) return overLimit(exceeded);
      return this.#closed || signal?.aborted ? aborted() : null;
    };
    try {
      return await converse(child, message, onProgress, whyKilled);
    } finally {
      unwatch();
      signal?.removeEventListener('abort', abort);
    }
  }

  #start(): ChildProcess {
    if (!existsSync(this.#childPath))
      throw new RoundtableError(
        'INTERNAL',
        `The training process ${this.#childPath} does not exist; run \`npm run build\`.`,
      );
    const child = fork(this.#childPath, [String(this.#threads)], {
      serialization: 'advanced',
      execArgv: [],
      env: environment(),
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const gone = () => {
      if (this.#child === child) this.#child = undefined;
    };
    child.once('exit', gone);
    child.on('error', gone);
    return child;
  }

  async #kill(): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await exited;
  }
}

interface RequestOptions {
  readonly onProgress?: (progress: TrainProgress) => void;
  readonly signal?: AbortSignal;
  readonly seconds?: number;
}

/** Seconds for an evaluation or a comparison: more than any takes, and an end for one that never would. */
const LONGEST_ANSWER = 3_600;

/** Sends one request and waits for its answer, or for the end of the child. */
function converse(
  child: ChildProcess,
  message: ChildRequest,
  onProgress: RequestOptions['onProgress'],
  whyKilled: () => RoundtableError | null,
): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    let lastWords = '';
    const onStderr = (chunk: Buffer) => {
      lastWords = (lastWords + chunk.toString()).slice(-2000);
    };
    const onMessage = (answer: ChildAnswer) => {
      switch (answer.kind) {
        case 'progress':
          return onProgress?.(answer.progress);
        case 'done':
          return settle(() => resolve(answer.result));
        case 'failed':
          return settle(() =>
            reject(new RoundtableError(answer.code, answer.message, { details: answer.details })),
          );
      }
    };
    const onEnd = (code: number | null, signal: string | null) =>
      settle(() => reject(whyKilled() ?? died(`ended with ${signal ?? `exit code ${code}`}`, lastWords)));
    const onError = (error: Error) => settle(() => reject(died(`failed: ${error.message}`, lastWords)));
    const settle = (finish: () => void) => {
      child.off('message', onMessage).off('exit', onEnd).off('error', onError);
      child.stderr?.off('data', onStderr).resume();
      finish();
    };
    child.on('message', onMessage).on('exit', onEnd).on('error', onError);
    child.stderr?.on('data', onStderr);
    // A child that can be told nothing is dead, or to be ended; until its end was noticed the next request would go to it too.
    child.send(message, (error) => {
      if (error) child.kill('SIGKILL');
    });
  });
}

function aborted(): RoundtableError {
  return new RoundtableError('TRAINING_ABORTED', 'The training was cancelled before it was complete.');
}

function overLimit(why: string): RoundtableError {
  return new RoundtableError(
    'TRAINING_LIMIT',
    `The training process ${why}; it was ended. Use a smaller model or batch, or fewer samples.`,
  );
}

function died(how: string, lastWords: string): RoundtableError {
  const said = lastWords.trim();
  return new RoundtableError(
    'TRAINING_CHILD_DIED',
    `The training process ${how}. The request can be made again.${said ? ` It said: ${said}` : ''}`,
  );
}

/** Beside this bundle in dist/runner, below it in dist, or built from these sources. */
function findChild(): string {
  const places = ['./child.js', './runner/child.js', '../../dist/runner/child.js'];
  const paths = places.map((place) => fileURLToPath(new URL(place, import.meta.url)));
  return paths.find((path) => existsSync(path)) ?? paths.at(-1) ?? '';
}

/** The child computes what others sent; it is given nothing of the owner's environment but where programs lie. */
function environment(): NodeJS.ProcessEnv {
  const names = ['PATH', 'LD_LIBRARY_PATH', 'DYLD_LIBRARY_PATH', 'SystemRoot', 'TEMP', 'TMP', 'TMPDIR'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}
