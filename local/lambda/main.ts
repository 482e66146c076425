/** The process of a function: loads one bundle and calls its handler for each invocation that its parent sends. */
import { pathToFileURL } from 'node:url';
import type { Context } from 'aws-lambda';
import type { Invocation, Reply } from './instance.js';

type Handler = (event: unknown, context: Context) => unknown;

// Without its parent nobody hears it.
process.once('disconnect', () => process.exit());
// A stop reaches all processes of a part; what is in work is brought to its end, and the parent says when that is.
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => undefined);

const handler = await load(String(process.argv[2]));
if (handler) {
  process.on('message', ({ event, context }: Invocation) => void invoke(handler, event, contextOf(context)));
  say({ kind: 'ready' });
}

async function load(file: string): Promise<Handler | null> {
  try {
    const { handler } = (await import(pathToFileURL(file).href)) as { handler?: Handler };
    if (typeof handler === 'function') return handler;
    say({ kind: 'error', type: 'Runtime.HandlerNotFound', message: 'it exports no function called handler' });
  } catch (error) {
    say(errorOf(error));
  }
  return null;
}

async function invoke(handler: Handler, event: unknown, context: Context): Promise<void> {
  try {
    say({ kind: 'answer', answer: (await handler(event, context)) ?? null });
  } catch (error) {
    say(errorOf(error));
  }
}

function say(reply: Reply): void {
  process.send?.(reply);
}

function errorOf(error: unknown): Reply {
  return error instanceof Error
    ? { kind: 'error', type: error.name, message: error.message }
    : { kind: 'error', type: 'Error', message: String(error) };
}

/** https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html */
function contextOf({ name, region, requestId, deadline }: Invocation['context']): Context {
  return {
    functionName: name,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:${region}:000000000000:function:${name}`,
    memoryLimitInMB: '1024',
    awsRequestId: requestId,
    logGroupName: `/aws/lambda/${name}`,
    logStreamName: 'local',
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadline - Date.now()),
    done: callbackOnly,
    fail: callbackOnly,
    succeed: callbackOnly,
  };
}

function callbackOnly(): never {
  throw new Error('handlers answer by their promise; done, fail and succeed are not offered');
}
