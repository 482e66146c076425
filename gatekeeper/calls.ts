import type { RunnerId } from '#core/hex.js';
import { runnerQueue } from '#core/names.js';
import {
  bytesOf,
  Malformed,
  readMessage,
  replaceBytes,
  textOf,
  writeMessage,
  type Message,
  type Shape,
} from './fields.js';
import { Refused, status } from './frames.js';
import { readTaskQueue, shapes } from './shapes.js';
import type { TaskTokens } from './taskTokens.js';

/** Who calls, and what is checked with. */
export interface Caller {
  runner: RunnerId;
  namespace: string;
  tokens: TaskTokens;
}

export interface Call {
  /** As Temporal calls it. */
  name: string;
  /** A poll stays open until there is a task. */
  poll: boolean;
  /**
   * The message as Temporal gets it, written anew from what was checked; null: the gatekeeper answers itself.
   * @throws Refused, Malformed
   */
  check(message: Uint8Array, caller: Caller): Uint8Array | null;
  /** The answer as the runner gets it. */
  answer(message: Uint8Array, caller: Caller): Uint8Array;
}

/**
 * Everything that passes; what is not here is refused. These are the calls that an activity worker of Temporal's
 * SDK 1.24 makes. Its two calls about itself would let a runner write into the server's list of workers, and
 * nothing here reads that: they are answered with nothing.
 */
const calls: Record<string, Omit<Call, 'name'>> = {
  GetSystemInfo: call({}, () => undefined),
  DescribeNamespace: call(shapes.describeNamespace, (message, caller) => {
    requireNamespace(message, 1, caller);
  }),
  PollActivityTaskQueue: {
    ...call(shapes.pollActivityTaskQueue, (message, caller) => {
      requireNamespace(message, 1, caller);
      requireOwnQueue(message, caller);
      setText(message, 3, identityOf(caller));
    }),
    poll: true,
    answer: (message, { runner, tokens }) =>
      replaceBytes(message, 1, (token) => (token.length === 0 ? token : tokens.bind(runner, token))),
  },
  RespondActivityTaskCompleted: call(shapes.respondActivityTaskCompleted, checkAnswer),
  RespondActivityTaskFailed: call(shapes.respondActivityTaskFailed, checkAnswer),
  RespondActivityTaskCanceled: call(shapes.respondActivityTaskCanceled, checkAnswer),
  RecordActivityTaskHeartbeat: call(shapes.recordActivityTaskHeartbeat, checkAnswer),
  ShutdownWorker: answeredHere(),
  RecordWorkerHeartbeat: answeredHere(),
};

const service = '/temporal.api.workflowservice.v1.WorkflowService/';

/** @throws Refused for everything that a runner may not call */
export function findCall(path: string): Call {
  const name = path.startsWith(service) ? path.slice(service.length) : '';
  const found = Object.hasOwn(calls, name) ? calls[name] : undefined;
  if (!found) throw new Refused(status.permissionDenied, 'a call that runners may not make');
  return { name, ...found };
}

export { Malformed };

function call(shape: Shape, check: (message: Message, caller: Caller) => void): Omit<Call, 'name'> {
  return {
    poll: false,
    check(bytes, caller) {
      const message = readMessage(bytes, shape);
      check(message, caller);
      return writeMessage(message);
    },
    answer: (message) => message,
  };
}

function answeredHere(): Omit<Call, 'name'> {
  return { poll: false, check: () => null, answer: (message) => message };
}

/** Answers and heartbeats alike: token 1, identity 3, namespace 4. */
function checkAnswer(message: Message, caller: Caller): void {
  requireNamespace(message, 4, caller);
  const token = caller.tokens.open(caller.runner, bytesOf(message, 1));
  if (!token) throw new Refused(status.permissionDenied, 'a task token that was not handed to this runner');
  message.set(1, [token]);
  setText(message, 3, identityOf(caller));
}

function requireNamespace(message: Message, field: number, { namespace }: Caller): void {
  if (textOf(message, field) !== namespace) throw new Refused(status.permissionDenied, 'another namespace');
}

function requireOwnQueue(message: Message, { runner }: Caller): void {
  const queue = readTaskQueue(message);
  if (queue.name !== runnerQueue(runner))
    throw new Refused(status.permissionDenied, "another one's task queue");
  if (queue.kind > normalQueue || queue.normalName !== '')
    throw new Refused(status.permissionDenied, 'a task queue of another kind');
  const own: Message = new Map([[1, [Buffer.from(queue.name, 'utf8')]]]);
  own.set(2, [normalQueue]);
  message.set(2, [writeMessage(own)]);
}

/** TASK_QUEUE_KIND_NORMAL */
const normalQueue = 1n;

/** What Temporal shows of a poller is who it is, not what it says. */
const identityOf = ({ runner }: Caller): string => `runner/${runner}`;

function setText(message: Message, field: number, text: string): void {
  message.set(field, [Buffer.from(text, 'utf8')]);
}
