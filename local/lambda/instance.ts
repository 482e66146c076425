import { fork } from 'node:child_process';
import { distFile } from '../paths.js';

/** One call of a handler, as it goes to the process that has loaded it. */
export interface Invocation {
  event: unknown;
  context: {
    name: string;
    region: string;
    requestId: string;
    /** Milliseconds since 1970; the process is killed then. */
    deadline: number;
  };
}

/** What the process says: that it has loaded its handler, or how an invocation ended. */
export type Reply =
  { kind: 'ready' } | { kind: 'answer'; answer: unknown } | { kind: 'error'; type: string; message: string };

/** The handler gave no answer. `type` is the name of the error, as Lambda reports it. */
export class FunctionFailed extends Error {
  constructor(
    readonly type: string,
    message: string,
  ) {
    super(message);
  }
}

/** A process that has loaded one bundle, as Lambda keeps one between invocations. */
export interface Instance {
  /** One at a time. @throws FunctionFailed */
  invoke(invocation: Invocation): Promise<unknown>;
  kill(): void;
  /** Resolves when the process is gone. */
  ended: Promise<void>;
}

/** @throws FunctionFailed when the process ends before it has loaded its handler */
export async function startInstance(file: string): Promise<Instance> {
  const child = fork(distFile('local/lambda.js'), [file], {
    env: process.env,
    execArgv: ['--enable-source-maps', '--no-warnings'],
  });
  let settle: ((reply: Reply) => void) | null = null;
  const next = () => new Promise<Reply>((resolve) => (settle = resolve));
  const say = (reply: Reply) => {
    const waiting = settle;
    settle = null;
    waiting?.(reply);
  };
  let late = false;
  const ready = next();
  child.on('message', (reply: Reply) => say(reply));
  child.on('error', (error) => say({ kind: 'error', type: 'Runtime.StartError', message: error.message }));
  const ended = new Promise<void>((resolve) =>
    child.once('exit', (code, signal) => {
      resolve();
      if (late) return;
      const message = `the function's process ended (${signal ?? `exit code ${code}`}) without an answer`;
      say({ kind: 'error', type: 'Runtime.ExitError', message });
    }),
  );
  const loaded = await ready;
  if (loaded.kind === 'error') {
    child.kill('SIGKILL');
    throw new FunctionFailed(loaded.type, loaded.message);
  }
  return {
    async invoke(invocation) {
      const left = invocation.context.deadline - Date.now();
      const answer = next();
      const timer = setTimeout(() => {
        late = true;
        const timeout: Reply = {
          kind: 'error',
          type: 'Sandbox.Timedout',
          message: `Task timed out after ${(left / 1000).toFixed(2)} seconds`,
        };
        // Only when it is gone: whoever gets the messages next must not work beside it.
        child.once('exit', () => say(timeout));
        child.kill('SIGKILL');
      }, left);
      child.send(invocation);
      const reply = await answer;
      clearTimeout(timer);
      if (reply.kind === 'answer') return reply.answer;
      throw new FunctionFailed(
        reply.kind === 'error' ? reply.type : 'Runtime.Unexpected',
        reply.kind === 'error' ? reply.message : 'it said that it is ready, twice',
      );
    },
    kill: () => void child.kill('SIGKILL'),
    ended,
  };
}
