import type { OpenAPIHono } from '@hono/zod-openapi';
import { RoundtableError } from '#core/errors.js';
import type { DataContract } from '#core/messages.js';
import {
  enrolAnswer,
  enrolRequest,
  revokeAnswer,
  revokeRequest,
  seenRequest,
  type StackEntry,
} from '#core/entryMessages.js';
import { runnerView } from '#core/views.js';
import { publicKeyFingerprint } from '#services/certificate.js';
import { checkEntry } from '#services/enrolment.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';
import type { Membership } from './membership.js';
import type { Signer } from './signer.js';
import { signedEntrance } from './stack.js';

export function addRunners(app: OpenAPIHono, parts: ApiParts): void {
  const { table, limits } = parts;

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
      await limits.enrolments(signer.member);
      const entrance = await signedEntrance(parts);
      await enter(parts, entry, introduction.data, signer);
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
        suspension: null,
        drain: null,
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

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/runners/revoke',
      summary: 'A runner says that certificates of its own count no longer, as after a theft of their key.',
      signers: 'runner',
      body: revokeRequest,
      status: 200,
      answer: revokeAnswer,
    },
    async ({ body, signer }) => {
      const entries = await Promise.all(body.fingerprints.map((fingerprint) => table.findEntry(fingerprint)));
      const own = entries.filter((entry) => entry?.runner === signer.address);
      const revoked = own.flatMap((entry) => (entry ? [entry.fingerprint] : []));
      for (const fingerprint of revoked) await table.revokeEntry(fingerprint);
      return { revoked };
    },
  );
}

/** What a runner announces to a stack must be what it published on chain, where everybody sees it. */
function checkServed(
  served: Awaited<ReturnType<Membership['serving']>>,
  { certificate, statement }: StackEntry,
  data: readonly DataContract[],
): void {
  const register = 'Run `roundtable-runner register`, which publishes both.';
  if (!served)
    throw new RoundtableError(
      'FORBIDDEN',
      `Runner ${statement.runner} has published neither its TLS key nor its data on chain. ${register}`,
    );
  if (served.keyFingerprint !== null && served.keyFingerprint !== publicKeyFingerprint(certificate))
    throw new RoundtableError(
      'FORBIDDEN',
      `The certificate belongs to another TLS key than the one that runner ${statement.runner} published on chain. ${register}`,
    );
  const unknown = data.map(({ name }) => name).filter((name) => !served.data.includes(name));
  if (unknown.length > 0)
    throw new RoundtableError(
      'FORBIDDEN',
      `Runner ${statement.runner} has not published on chain that it serves ${unknown.join(', ')}. ${register}`,
    );
}

/** Lets a certificate stand for a runner. @throws FORBIDDEN for a suspended runner, CONFLICT for an old statement */
async function enter(
  { table, coordinator, deployment, membership }: ApiParts,
  entry: StackEntry,
  data: readonly DataContract[],
  { address: runner }: Signer,
): Promise<void> {
  const checked = checkEntry(entry, deployment, { stack: coordinator, runner });
  const suspended = await table.suspension(runner);
  if (suspended)
    throw new RoundtableError(
      'FORBIDDEN',
      `Runner ${runner} was suspended at ${suspended.at} by ${suspended.by}: ${suspended.reason}`,
    );
  checkServed(await membership.serving(runner), entry, data);
  if (!(await table.enterRunner(checked, entry.statement.nonce)))
    throw new RoundtableError(
      'CONFLICT',
      'An enrolment with this nonce or a later one came before. Sign a new one with a higher nonce.',
    );
}
