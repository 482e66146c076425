import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import { RoundtableError } from '#core/errors.js';
import { awsDefaults, reportUnavailable } from './aws.js';

/** A Lambda function that is called and answers. */
export interface FunctionCall {
  /** @throws UNAVAILABLE when it cannot be called, or ended without an answer: calling it again may help */
  (event: unknown): Promise<unknown>;
}

/** Seconds that a function can take at most, and that its caller waits. */
const longestSeconds = 900;

export function openFunction(options: { name: string; client?: LambdaClient }): FunctionCall {
  const client = options.client ?? createClient();
  return async (event) => {
    const { FunctionError, Payload } = await client.send(
      new InvokeCommand({ FunctionName: options.name, Payload: JSON.stringify(event) }),
    );
    const text = new TextDecoder().decode(Payload);
    if (FunctionError !== undefined)
      throw new RoundtableError(
        'UNAVAILABLE',
        `The function ${options.name} gave no answer: ${text.slice(0, 500)}`,
      );
    return JSON.parse(text) as unknown;
  };
}

function createClient(): LambdaClient {
  const client = new LambdaClient({
    ...awsDefaults,
    requestHandler: { connectionTimeout: 2_000, socketTimeout: longestSeconds * 1_000 },
  });
  client.middlewareStack.add(reportUnavailable('Lambda'), { step: 'initialize' });
  return client;
}
