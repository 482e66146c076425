import type { OpenAPIHono } from '@hono/zod-openapi';
import type { Context } from 'hono';
import { z } from 'zod';
import { parseMessage } from '#core/schema.js';
import { parseJson, readBody } from '../body.js';
import { identifySigner, type SignedParts, type Signer, type Signers } from './signer.js';

type Shape = Record<string, z.ZodType>;

/** One endpoint: what the OpenAPI document says of it and what is checked are the same thing. */
interface Endpoint<Params extends Shape, Query extends Shape, Body extends z.ZodType, Who extends Signers> {
  method: 'get' | 'post';
  /** With {names} of `params`. */
  path: string;
  summary: string;
  signers: Who;
  /** Refuses the same signed request a second time. */
  once?: boolean;
  params?: Params;
  query?: Query;
  body?: Body;
  status: 200 | 201 | 202 | 204 | 307;
  answer?: z.ZodType;
}

interface Request<Params extends Shape, Query extends Shape, Body extends z.ZodType, Who extends Signers> {
  params: { [K in keyof Params]: z.output<Params[K]> };
  query: { [K in keyof Query]: z.output<Query[K]> };
  body: z.output<Body>;
  signer: Who extends 'anybody' ? null : Signer;
}

/**
 * Adds an endpoint to the app and its document. The order of a request: body counted, signature, then parsing.
 * `handle` returns the JSON to answer, or a response.
 */
export function addEndpoint<
  Params extends Shape,
  Query extends Shape,
  Body extends z.ZodType,
  const Who extends Signers,
>(
  app: OpenAPIHono,
  parts: SignedParts,
  endpoint: Endpoint<Params, Query, Body, Who>,
  handle: (request: Request<Params, Query, Body, Who>) => Promise<object | null>,
): void {
  const { method, path, signers, status } = endpoint;
  document(app, endpoint);
  app.on(method, path.replace(/\{(\w+)\}/g, ':$1'), async (context) => {
    const bytes = await readBody(context.req.raw);
    const signer =
      signers === 'anybody'
        ? null
        : await identifySigner(
            parts,
            {
              method,
              path: sentPath(context),
              body: bytes,
              authorization: context.req.header('authorization'),
            },
            signers,
            endpoint.once ?? false,
          );
    const request: Request<Shape, Shape, z.ZodType, Signers> = {
      params: parseMessage(z.object(endpoint.params ?? {}), context.req.param(), 'The path'),
      query: parseMessage(z.strictObject(endpoint.query ?? {}), context.req.query(), 'The query'),
      body: endpoint.body && parseMessage(endpoint.body, parseJson(bytes, 'The body'), 'The body'),
      signer,
    };
    const answer = await handle(request as Request<Params, Query, Body, Who>);
    if (answer instanceof Response) return answer;
    return answer === null ? context.body(null, 204) : context.json(answer, status as 200);
  });
}

/** A list as every endpoint answers it. */
export const itemsOf = (schema: z.ZodType) => z.object({ items: z.array(schema) });

function document(app: OpenAPIHono, endpoint: Endpoint<Shape, Shape, z.ZodType, Signers>): void {
  const { method, path, summary, signers, status, answer } = endpoint;
  app.openAPIRegistry.registerPath({
    method,
    path,
    summary,
    ...(signers === 'anybody'
      ? {}
      : {
          security: [{ roundtable: [] }],
          description: `Signed by a ${signers}; see core/signedRequest.ts.`,
        }),
    request: {
      ...(endpoint.params ? { params: z.object(endpoint.params) } : {}),
      ...(endpoint.query ? { query: z.object(endpoint.query) } : {}),
      ...(endpoint.body ? { body: { required: true, ...json(endpoint.body) } } : {}),
    },
    responses: {
      [status]: { description: summary, ...(answer ? json(answer) : {}) },
      default: {
        description: 'A problem (RFC 9457); `code` is stable.',
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    },
  });
}

const json = (schema: z.ZodType) => ({ content: { 'application/json': { schema } } });

const problemSchema = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
});

function sentPath(context: Context): string {
  const { pathname, search } = new URL(context.req.url);
  return pathname + search;
}
