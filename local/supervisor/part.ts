/** One process of the stack, as data. */

/** Parts end in this order, those of one role at the same time. */
export const stopOrder = ['runner', 'worker', 'function', 'service', 'temporal'] as const;
export type Role = (typeof stopOrder)[number];

export interface Part {
  /** Unique in the stack; names its log file. */
  name: string;
  role: Role;
  command: string;
  /** Visible to everyone on the machine: never a secret. */
  args: string[];
  /** Added to local/environment.ts's base; nothing else is inherited. */
  env: Record<string, string>;
  cwd?: string;
  /** Resolves once the part can be used. Called for every start of the process. */
  ready: (context: ReadyContext) => Promise<void>;
  /** Time for `ready`; a part that needs longer is given up. Default 60 s. */
  readyTimeoutMs?: number;
  /** Parts that must be ready before this one starts. */
  after?: string[];
  /** Default SIGTERM. */
  stopSignal?: NodeJS.Signals;
  /** After this the part is killed. Default 10 s. */
  stopTimeoutMs?: number;
  /** Runs before every start of the process; an error counts as a crash. */
  prepare?: () => Promise<void>;
  /** Runs beside the process from its start until `signal` aborts at its end. */
  tend?: (signal: AbortSignal) => Promise<void>;
}

export interface ReadyContext {
  /** Aborted when the process ends, when it is stopped, and when its time is up. */
  readonly signal: AbortSignal;
  /** Calls back for every line the process writes from now on. */
  onLine(listener: (line: string) => void): void;
}

export type PartState = 'waiting' | 'starting' | 'ready' | 'restarting' | 'stopping' | 'stopped' | 'failed';

export interface PartStatus {
  name: string;
  role: Role;
  /** Null while no process runs. */
  pid: number | null;
  state: PartState;
  /** Times the process came back after a crash. */
  restarts: number;
  /** ISO time at which this state began. */
  since: string;
  log: string;
}
