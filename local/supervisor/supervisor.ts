/**
 * Runs the parts of a stack on one machine (DESIGN.md, "The supervisor"). One supervisor per state folder; each
 * part in a process group of its own with its own log; crashes are repaired, too many of them stop the stack.
 *
 * @example
 * const supervisor = await Supervisor.open('.roundtable');
 * const { ports } = await supervisor.choosePorts({ chain: null });
 * await supervisor.start(chainPart({ port: ports.chain, stateDir }));
 * await supervisor.stopAll();
 */
import { EventEmitter } from 'node:events';
import { resolve } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { endRecorded } from './leftovers.js';
import { takeLock, type FileLock } from './lock.js';
import { logPath, PartLog } from './log.js';
import { ManagedPart } from './managedPart.js';
import { stopOrder, type Part, type PartState, type PartStatus } from './part.js';
import { choosePorts, type PortChoice } from './ports.js';
import { lockPath, prepareStateDir, readParts, writeParts } from './record.js';

export interface SupervisorEvents {
  starting: [part: PartStatus];
  ready: [part: PartStatus];
  /** The process ended although nobody asked; `how` is its exit code or signal. */
  exited: [part: PartStatus, how: string];
  restarting: [part: PartStatus];
  stopping: [part: PartStatus];
  stopped: [part: PartStatus];
  /** The part was given up; the stack stops. */
  failed: [part: PartStatus, error: RoundtableError];
  /** Something to tell the person that needs no action. */
  notice: [message: string];
}

export class Supervisor {
  readonly events = new EventEmitter<SupervisorEvents>();
  /** Resolves once everything has stopped: with the error of the part that was given up, if one was. */
  readonly finished: Promise<RoundtableError | undefined>;
  readonly #parts = new Map<string, ManagedPart>();
  readonly #states = new Map<string, PartState>();
  #stopping: Promise<void> | undefined;
  #failure: RoundtableError | undefined;
  #finish: (failure: RoundtableError | undefined) => void = () => undefined;
  readonly #onProcessExit = (): void => this.#signalAll('SIGTERM');

  /**
   * Takes the state folder and ends what a killed supervisor left there.
   *
   * @throws ALREADY_RUNNING with the other's pid, readStatus(stateDir) tells what it runs; DISK_FULL
   */
  static async open(stateDir: string): Promise<Supervisor> {
    const folder = resolve(stateDir);
    prepareStateDir(folder);
    const taken = takeLock(lockPath(folder));
    if ('holder' in taken)
      throw new RoundtableError(
        'ALREADY_RUNNING',
        `A stack already runs from ${folder}: process ${taken.holder.pid}, since ${taken.holder.since}. ` +
          'Use it, end it with `roundtable down`, or choose another folder with --state.',
        { details: { pid: taken.holder.pid, stateDir: folder, lock: lockPath(folder) } },
      );
    try {
      const leftovers = await endRecorded(folder);
      return new Supervisor(folder, taken.lock, leftovers);
    } catch (error) {
      taken.lock.release();
      throw error;
    }
  }

  private constructor(
    readonly stateDir: string,
    private readonly lock: FileLock,
    /** Parts of a killed supervisor that were ended by `open`. */
    readonly leftovers: readonly string[],
  ) {
    this.finished = new Promise((done) => {
      this.#finish = done;
    });
    process.once('exit', this.#onProcessExit);
  }

  /** @see choosePorts in ports.ts; every moved port is told as a notice */
  async choosePorts<Name extends string>(wanted: Record<Name, number | null>): Promise<PortChoice<Name>> {
    const choice = await choosePorts(this.stateDir, wanted);
    for (const { name, from, to } of choice.moved)
      this.events.emit(
        'notice',
        `Port ${from} of ${name} was taken by another process; it has moved to ${to}.`,
      );
    return choice;
  }

  /**
   * Starts parts, each as soon as those it names in `after` are ready; resolves when all are.
   *
   * @throws PART_CRASHED or PART_NOT_READY, when the stack is being stopped because of it; CONFLICT for a name
   *   that runs; NOT_FOUND for an unknown name in `after`
   */
  async start(...parts: Part[]): Promise<void> {
    if (this.#stopping !== undefined)
      throw new RoundtableError('CONFLICT', 'The stack is stopping; no part can be started any more.');
    for (const part of parts) this.#register(part);
    const unknown = parts.flatMap((part) => (part.after ?? []).filter((name) => !this.#parts.has(name)));
    if (unknown.length > 0)
      throw new RoundtableError(
        'NOT_FOUND',
        `No part is called ${unknown.join(', ')}, which others wait for.`,
      );
    await Promise.all(
      parts.map(async (part) => {
        await Promise.all((part.after ?? []).map((name) => this.#get(name).firstReady));
        await this.#get(part.name).start();
      }),
    );
  }

  /** Ends a part on purpose. It can be started again. */
  async stop(name: string, options: { force?: boolean } = {}): Promise<void> {
    await this.#get(name).stop({ force: options.force ?? false });
  }

  async restart(name: string): Promise<void> {
    const { part } = this.#get(name);
    await this.stop(name);
    await this.start(part);
  }

  /** In the order in which the parts were first started. */
  status(): PartStatus[] {
    return [...this.#parts.values()].map(statusOf);
  }

  /**
   * Ends everything: runners, workers, functions, services, Temporal, one role after the other. With `force`,
   * also while a gentle stop is under way, everything is killed at once.
   */
  stopAll(options: { force?: boolean } = {}): Promise<void> {
    if (options.force === true) for (const part of this.#parts.values()) void part.stop({ force: true });
    this.#stopping ??= this.#stopEverything();
    return this.#stopping;
  }

  async #stopEverything(): Promise<void> {
    for (const role of stopOrder) {
      const parts = [...this.#parts.values()].filter(({ part }) => part.role === role);
      await Promise.all(parts.map((part) => part.stop({ force: false })));
    }
    process.off('exit', this.#onProcessExit);
    this.lock.release();
    this.#finish(this.#failure);
  }

  #signalAll(signal: NodeJS.Signals): void {
    for (const part of this.#parts.values()) part.signal(signal);
  }

  #get(name: string): ManagedPart {
    const part = this.#parts.get(name);
    if (part !== undefined) return part;
    const known = [...this.#parts.keys()].join(', ');
    throw new RoundtableError('NOT_FOUND', `The stack has no part ${name}. It has: ${known}.`);
  }

  #register(part: Part): void {
    const before = this.#parts.get(part.name)?.record.state;
    if (before !== undefined && before !== 'stopped' && before !== 'failed')
      throw new RoundtableError('CONFLICT', `${part.name} is ${before} already.`);
    const managed = new ManagedPart(part, new PartLog(logPath(this.stateDir, part.name)), this.stateDir, {
      changed: (changed) => this.#changed(changed),
      exited: (exited, how) => this.events.emit('exited', statusOf(exited), how),
      gaveUp: (failed, error) => this.#fail(failed, error),
    });
    this.#parts.set(part.name, managed);
    this.#states.delete(part.name);
  }

  #changed(changed: ManagedPart): void {
    this.#record();
    const status = statusOf(changed);
    if (this.#states.get(status.name) === status.state) return;
    this.#states.set(status.name, status.state);
    if (status.state !== 'waiting' && status.state !== 'failed') this.events.emit(status.state, status);
  }

  #fail(failed: ManagedPart, error: RoundtableError): void {
    this.#failure ??= error;
    this.events.emit('failed', statusOf(failed), error);
    void this.stopAll();
  }

  /** A record that cannot be written must not end a stack that works. */
  #record(): void {
    try {
      writeParts(this.stateDir, this.#records());
    } catch (error) {
      this.events.emit('notice', `${this.stateDir} cannot be written: ${String(error)}`);
    }
  }

  #records() {
    const current = [...this.#parts.values()].map((part) => part.record);
    const names = new Set(current.map(({ name }) => name));
    // Parts of an earlier life are kept while they are not started, so that their logs stay known.
    return [...readParts(this.stateDir).filter(({ name }) => !names.has(name)), ...current];
  }
}

function statusOf({ record }: ManagedPart): PartStatus {
  const { startTime: _, ...status } = record;
  return status;
}
