/** Calls handlers as Lambda does. They run in this process; each module is loaded once and stays. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Context } from 'aws-lambda';
import { RoundtableError } from '#core/errors.js';

export interface Lambda {
  readonly name: string;
  /** @throws what the handler throws, or an error when its time is up (it is not interrupted: nothing can) */
  invoke(event: unknown, timeoutSeconds: number): Promise<unknown>;
}

type Handler = (event: unknown, context: Context) => unknown;

/** @throws NOT_FOUND when the file has no exported `handler` */
export async function loadLambda(folder: string, name: string, region: string): Promise<Lambda> {
  const file = join(folder, `${name}.mjs`);
  const module = (await import(pathToFileURL(file).href)) as { handler?: Handler };
  const { handler } = module;
  if (typeof handler !== 'function')
    throw new RoundtableError('NOT_FOUND', `${file} exports no function called handler.`);
  return {
    name,
    invoke: (event, timeoutSeconds) =>
      invoke(handler, event, contextOf(name, region, timeoutSeconds), timeoutSeconds),
  };
}

async function invoke(
  handler: Handler,
  event: unknown,
  context: Context,
  timeoutSeconds: number,
): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new Error(`Task timed out after ${timeoutSeconds} seconds`);
    timer = setTimeout(() => reject(error), timeoutSeconds * 1000);
  });
  try {
    return await Promise.race([(async () => handler(event, context))(), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** https://docs.aws.amazon.com/lambda/latest/dg/nodejs-context.html */
function contextOf(name: string, region: string, timeoutSeconds: number): Context {
  const deadline = Date.now() + timeoutSeconds * 1000;
  return {
    functionName: name,
    functionVersion: '$LATEST',
    invokedFunctionArn: `arn:aws:lambda:${region}:000000000000:function:${name}`,
    memoryLimitInMB: '1024',
    awsRequestId: randomUUID(),
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
