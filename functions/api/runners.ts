import type { OpenAPIHono } from '@hono/zod-openapi';
import { RoundtableError } from '#core/errors.js';
import { enrolAnswer, enrolRequest, seenRequest, type StackEntry } from '#core/messages.js';
import { runnerView } from '#core/views.js';
import { checkEntry } from '#services/enrolment.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';
import type { Signer } from './signer.js';
import { signedEntrance } from './stack.js';

export function addRunners(app: OpenAPIHono, parts: ApiParts): void {
  const { table } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/runners',
      summary: 'Enrolled runners.',
      signers: 'anybody',
      status: 200,
      answer: itemsOf(runnerView),
    },
    async () => ({ items: await table.listRunners() }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/runners/enrol',
      summary:
        'A runner that is registered on chain introduces itself, the data it serves and its certificate.',
      signers: 'runner',
      body: enrolRequest,
      status: 200,
      answer: enrolAnswer,
    },
    async ({ body: { entry, ...introduction }, signer }) => {
      const entrance = await signedEntrance(parts);
      await enter(parts, entry, signer);
      const now = new Date().toISOString();
      await table.enrolRunner({
        ...introduction,
        seq: 0,
        updatedAt: now,
        runner: signer.address,
        member: signer.member,
        enrolledAt: now,
        lastSeen: now,
        connected: false,
        state: 'idle',
        progress: null,
      });
      return { member: signer.member, entrance };
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/runners/seen',
      summary: 'A runner tells what it is doing.',
      signers: 'runner',
      body: seenRequest,
      status: 204,
    },
    async ({ body, signer }) => {
      if (!(await table.seenRunner(signer.address, body, new Date().toISOString())))
        throw new RoundtableError(
          'NOT_FOUND',
          `Runner ${signer.address} is not enrolled here. Enrol it first.`,
        );
      return null;
    },
  );
}

/** Lets a certificate stand for a runner. @throws FORBIDDEN for a suspended runner, CONFLICT for an old statement */
async function enter(
  { table, coordinator, deployment }: ApiParts,
  entry: StackEntry,
  { address: runner }: Signer,
): Promise<void> {
  const checked = checkEntry(entry, deployment, { stack: coordinator, runner });
  const suspended = await table.suspension(runner);
  if (suspended)
    throw new RoundtableError(
      'FORBIDDEN',
      `Runner ${runner} was suspended at ${suspended.at} by ${suspended.by}: ${suspended.reason}`,
    );
  if (!(await table.enterRunner(checked, entry.statement.nonce)))
    throw new RoundtableError(
      'CONFLICT',
      'An enrolment with this nonce or a later one came before. Sign a new one with a higher nonce.',
    );
}
