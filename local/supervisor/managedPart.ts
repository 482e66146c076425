/** Keeps one part running: starts it, watches it, starts it again, gives up. */
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { RoundtableError } from '#core/errors.js';
import { baseEnvironment } from '../environment.js';
import { stateMark } from './leftovers.js';
import type { PartLog } from './log.js';
import type { Part, PartState } from './part.js';
import { endGroup, identify, signalGroup, type ProcessIdentity } from './process.js';
import type { PartRecord } from './record.js';

const crashLimit = 5;
const crashWindowMs = 60_000;

export interface Watcher {
  changed(part: ManagedPart): void;
  exited(part: ManagedPart, how: string): void;
  /** The part will not be tried again. */
  gaveUp(part: ManagedPart, error: RoundtableError): void;
}

export class ManagedPart {
  #state: PartState = 'waiting';
  #since = new Date();
  #restarts = 0;
  #process: ProcessIdentity | undefined;
  readonly #stopping = new AbortController();
  readonly #firstReady = deferred();
  #running: Promise<void> = Promise.resolve();

  constructor(
    readonly part: Part,
    readonly log: PartLog,
    private readonly stateDir: string,
    private readonly watcher: Watcher,
  ) {}

  /** Resolves when the part is ready for the first time; rejects when it is given up or stopped before. */
  start(): Promise<void> {
    this.#running = this.#keepRunning();
    return this.#firstReady.promise;
  }

  get firstReady(): Promise<void> {
    return this.#firstReady.promise;
  }

  /** On purpose, so not a crash. Resolves when the whole process group is gone. */
  async stop(options: { force: boolean }): Promise<void> {
    this.#stopping.abort();
    this.#firstReady.reject(
      new RoundtableError('UNAVAILABLE', `${this.part.name} was stopped before it was ready.`),
    );
    const pid = this.#process?.pid;
    if (pid !== undefined) {
      this.#enter('stopping');
      const signal = this.part.stopSignal ?? 'SIGTERM';
      await endGroup(
        pid,
        options.force
          ? { signal: 'SIGKILL', timeoutMs: 0 }
          : { signal, timeoutMs: this.part.stopTimeoutMs ?? 10_000 },
      );
    }
    await this.#running;
    if (this.#state !== 'failed') this.#enter('stopped');
  }

  /** Sends a signal to the group without waiting for anything. */
  signal(signal: NodeJS.Signals): void {
    if (this.#process !== undefined) signalGroup(this.#process.pid, signal);
  }

  get record(): PartRecord {
    return {
      name: this.part.name,
      role: this.part.role,
      pid: this.#process?.pid ?? null,
      startTime: this.#process?.startTime ?? null,
      state: this.#state,
      restarts: this.#restarts,
      since: this.#since.toISOString(),
      log: this.log.path,
    };
  }

  async #keepRunning(): Promise<void> {
    const crashes: number[] = [];
    while (!this.#stopping.signal.aborted) {
      this.#enter('starting');
      const outcome = await this.#runOnce();
      if (this.#stopping.signal.aborted) return;
      this.watcher.exited(this, outcome.how);
      const now = Date.now();
      crashes.push(now);
      while ((crashes[0] ?? now) < now - crashWindowMs) crashes.shift();
      if (outcome.late) return this.#giveUp('PART_NOT_READY', outcome.how);
      if (crashes.length >= crashLimit)
        return this.#giveUp(
          'PART_CRASHED',
          `ended ${crashLimit} times within a minute, lastly with ${outcome.how}`,
        );
      this.#enter('restarting');
      const pause = 100 * 2 ** (crashes.length - 1);
      await sleep(pause, undefined, { signal: this.#stopping.signal }).catch(() => undefined);
      if (!this.#stopping.signal.aborted) this.#restarts++;
    }
  }

  /** One life of the process. `late`: it was killed because it did not become ready. */
  async #runOnce(): Promise<{ how: string; late: boolean }> {
    const over = new AbortController();
    try {
      await this.part.prepare?.();
      if (this.#stopping.signal.aborted) return { how: 'stopped', late: false };
      const exit = this.#spawn();
      const tending = this.part.tend?.(over.signal).catch((error: unknown) => this.log.note(String(error)));
      const late = await this.#awaitReady(exit);
      const how = await exit;
      over.abort();
      await tending;
      return late ? { how: `was not ready after ${this.#readyTimeoutMs / 1000} s`, late } : { how, late };
    } catch (error) {
      const how = error instanceof Error ? error.message : String(error);
      this.log.note(how);
      return { how, late: false };
    } finally {
      over.abort();
      this.log.flush();
      this.#process = undefined;
    }
  }

  /** Starts the process; the promise tells how it ended, when nothing of its group is left. */
  #spawn(): Promise<string> {
    const { part, log } = this;
    const [command, args] = wrapped(part.command, part.args);
    const child = spawn(command, args, {
      cwd: part.cwd,
      env: { ...baseEnvironment(), ...part.env, [stateMark]: this.stateDir },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    child.stdout.setEncoding('utf8').on('data', (piece: string) => log.write('stdout', piece));
    child.stderr.setEncoding('utf8').on('data', (piece: string) => log.write('stderr', piece));
    const exit = this.#awaitExit(child);
    if (child.pid !== undefined) {
      this.#process = { pid: child.pid, startTime: identify(child.pid)?.startTime ?? '' };
      log.note(`started ${part.command} as process ${child.pid}`);
      this.watcher.changed(this);
    }
    return exit;
  }

  async #awaitExit(child: ChildProcessByStdio<null, Readable, Readable>): Promise<string> {
    const closed = new Promise((resolve) => child.once('close', resolve));
    const how = await new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) =>
        resolve(signal === null ? `exit code ${code}` : `signal ${signal}`),
      );
    });
    // Children that outlived the leader would hold its ports and files. When stopped on purpose, stop() sees to them.
    if (child.pid !== undefined && !this.#stopping.signal.aborted)
      await endGroup(child.pid, { signal: 'SIGKILL', timeoutMs: 0 });
    await Promise.race([closed, sleep(250, undefined, { ref: false })]);
    child.stdout.destroy();
    child.stderr.destroy();
    this.log.note(`ended with ${how}`);
    return how;
  }

  get #readyTimeoutMs(): number {
    return this.part.readyTimeoutMs ?? 60_000;
  }

  /** Resolves when the part is ready, has ended or was killed: true when that was because its time was up. */
  async #awaitReady(exit: Promise<string>): Promise<boolean> {
    const ended = new AbortController();
    void exit.then(() => ended.abort());
    const timeout = AbortSignal.timeout(this.#readyTimeoutMs);
    const signal = AbortSignal.any([ended.signal, timeout, this.#stopping.signal]);
    const unsubscribe: (() => void)[] = [];
    try {
      await untilAborted(
        this.part.ready({ signal, onLine: (listener) => unsubscribe.push(this.log.onLine(listener)) }),
        signal,
      );
      this.#enter('ready');
      this.#firstReady.resolve();
      return false;
    } catch (error) {
      if (ended.signal.aborted || this.#stopping.signal.aborted) return false;
      if (!timeout.aborted) this.log.note(`readiness check failed: ${String(error)}`);
      this.signal('SIGKILL');
      return timeout.aborted;
    } finally {
      for (const end of unsubscribe) end();
    }
  }

  #giveUp(code: 'PART_CRASHED' | 'PART_NOT_READY', what: string): void {
    const { name } = this.part;
    const lines = this.log.tail();
    const error = new RoundtableError(
      code,
      `${name} ${what}. The stack was stopped.\n\nIts last lines (all in ${this.log.path}):\n` +
        lines.map((line) => `  ${line}\n`).join('') +
        `\nLook there for the cause, then start again: what was done so far is kept.`,
      { details: { part: name, log: this.log.path, lines } },
    );
    this.#enter('failed');
    this.#firstReady.reject(error);
    this.watcher.gaveUp(this, error);
  }

  #enter(state: PartState): void {
    if (this.#state === state) return;
    this.#state = state;
    this.#since = new Date();
    this.watcher.changed(this);
  }
}

/**
 * On Linux a part asks the kernel for a SIGTERM when the supervisor dies, even by SIGKILL, and leaves no core file,
 * which would hold its keys, when it crashes. setpriv and prlimit (util-linux) set that and become the part, under
 * the same pid. Elsewhere the next start or stop ends what was left.
 */
const WRAPPED = ['--pdeathsig', 'TERM', '--', 'prlimit', '--core=0', '--'];
let canWrap: boolean | undefined;
function wrapped(command: string, args: string[]): [string, string[]] {
  canWrap ??= spawnSync('setpriv', [...WRAPPED, 'true'], { stdio: 'ignore' }).status === 0;
  return canWrap ? ['setpriv', [...WRAPPED, command, ...args]] : [command, args];
}

function untilAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  return Promise.race([work, aborted]);
}

const nothing = (): void => undefined;

function deferred(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let resolve: () => void = nothing;
  let reject: (error: Error) => void = nothing;
  const promise = new Promise<void>((done, fail) => {
    resolve = done;
    reject = fail;
  });
  promise.catch(nothing); // whoever waits gets it; nobody has to
  return { promise, resolve, reject };
}
