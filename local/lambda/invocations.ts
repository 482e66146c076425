/** Lambda's Invoke as its clients call it: a function is called over HTTP and its answer awaited. */
import { serve, type ServerType } from '@hono/node-server';
import { Hono } from 'hono';
import { FunctionFailed, type Lambda } from './lambda.js';

/** https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html, RequestResponse alone. */
export async function serveInvocations(options: {
  lambdas: ReadonlyMap<string, Lambda>;
  port: number;
  timeoutSeconds: number;
}): Promise<ServerType> {
  const app = new Hono();
  app.post('/2015-03-31/functions/:name/invocations', async (context) => {
    const name = context.req.param('name');
    const lambda = options.lambdas.get(name);
    if (!lambda)
      return context.json({ Type: 'User', Message: `Function not found: ${name}` }, 404, {
        'x-amzn-errortype': 'ResourceNotFoundException',
      });
    try {
      const answer = await lambda.invoke(await context.req.json(), options.timeoutSeconds);
      return context.json(answer as object);
    } catch (error) {
      if (!(error instanceof FunctionFailed)) throw error;
      // The call itself has succeeded; the header says that the function has not.
      return context.json({ errorType: error.type, errorMessage: error.message }, 200, {
        'x-amz-function-error': 'Unhandled',
      });
    }
  });
  return new Promise((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: options.port }, () =>
      resolve(server),
    );
  });
}
