import { HTTPException } from 'hono/http-exception';
import type { Env, Hono } from 'hono';
import { errorCodes } from '#core/errorCodes.js';
import { RoundtableError, isRoundtableError } from '#core/errors.js';
import type { Logger } from '#services/log.js';

/** RFC 9457 problem details, with our stable `code`; the error's details are further members. */
export interface ProblemDetails {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  [member: string]: unknown;
}

/** The one mapping from an error to its HTTP answer. What nobody threw on purpose shows nothing of itself. */
export function toProblem(error: unknown): ProblemDetails {
  const known = isRoundtableError(error) && error.code !== 'INTERNAL' ? error : fromHttp(error);
  const { status, meaning } = errorCodes[known.code];
  return {
    ...known.details,
    type: `urn:roundtable:error:${known.code}`,
    title: meaning,
    status,
    detail: known.message,
    code: known.code,
  };
}

/** Lets an app answer every error, and every unknown path, with a problem. */
export function answerProblems<E extends Env>(app: Hono<E>, log: Logger): void {
  app.onError((error, context) => {
    const problem = toProblem(error);
    const { method, path } = context.req;
    if (problem.status >= 500) log.error({ err: error, method, path, code: problem.code }, 'request failed');
    else log.info({ method, path, code: problem.code }, 'request refused');
    return problemResponse(problem);
  });
  app.notFound((context) =>
    problemResponse(
      toProblem(new RoundtableError('NOT_FOUND', `There is no ${context.req.method} ${context.req.path}.`)),
    ),
  );
}

function problemResponse(problem: ProblemDetails): Response {
  return new Response(JSON.stringify(problem), {
    status: problem.status,
    headers: {
      'content-type': 'application/problem+json',
      ...(problem.status === 503 ? { 'retry-after': '2' } : {}),
      ...(problem.status === 429 ? { 'retry-after': String(problem['retryAfterSeconds']) } : {}),
    },
  });
}

function fromHttp(error: unknown): RoundtableError {
  if (error instanceof HTTPException && error.status < 500)
    return new RoundtableError('INVALID_INPUT', error.message);
  return new RoundtableError('INTERNAL', 'Something in this stack failed; its log has the details.');
}
