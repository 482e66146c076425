import { randomBytes } from 'node:crypto';
import type { OpenAPIHono } from '@hono/zod-openapi';
import { z } from 'zod';
import { RoundtableError } from '#core/errors.js';
import { triggerRequest } from '#core/messages.js';
import { slug } from '#core/schema.js';
import { triggerView, type TriggerView } from '#core/views.js';
import { checkSpec } from '../jobs.js';
import { standardSecretPrefix } from '../webhook/signature.js';
import type { ApiParts } from './app.js';
import { addEndpoint, itemsOf } from './endpoint.js';

const withSecret = z.object({ trigger: triggerView, secret: z.string().describe('Shown this once.') });

export function addTriggers(app: OpenAPIHono, parts: ApiParts): void {
  const { table } = parts;

  addEndpoint(
    app,
    parts,
    {
      method: 'get',
      path: '/v1/triggers',
      summary: 'Triggers, without their secrets.',
      signers: 'anybody',
      status: 200,
      answer: itemsOf(triggerView),
    },
    async () => ({ items: await table.listTriggers() }),
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/triggers',
      summary: 'Set up a trigger: whoever holds its secret may start this job.',
      signers: 'member',
      body: triggerRequest,
      status: 201,
      answer: withSecret,
    },
    async ({ body }) => {
      await checkSpec(parts, body.spec);
      const now = new Date().toISOString();
      const secret = newSecret(body.kind);
      const trigger: TriggerView = { ...body, seq: 0, updatedAt: now, createdAt: now, secrets: 1 };
      if (!(await table.createTrigger(trigger, [secret])))
        throw new RoundtableError(
          'CONFLICT',
          `There is a trigger ${body.name} already. Choose another name.`,
        );
      return { trigger, secret };
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/triggers/{name}/rotate',
      summary: 'A new secret. The one before stays valid until the next rotation.',
      signers: 'member',
      once: true,
      params: { name: slug },
      status: 200,
      answer: withSecret,
    },
    async ({ params: { name } }) => {
      let secret = '';
      const trigger = await changeSecrets(name, (secrets, kind) => {
        secret = newSecret(kind);
        return [secret, ...secrets.slice(0, 1)];
      });
      return { trigger, secret };
    },
  );

  addEndpoint(
    app,
    parts,
    {
      method: 'post',
      path: '/v1/triggers/{name}/stop',
      summary: 'No secret counts any more, until a rotation gives a new one.',
      signers: 'member',
      params: { name: slug },
      status: 200,
      answer: z.object({ trigger: triggerView }),
    },
    async ({ params: { name } }) => ({ trigger: await changeSecrets(name, () => []) }),
  );

  async function changeSecrets(
    name: string,
    change: (secrets: string[], kind: TriggerView['kind']) => string[],
  ): Promise<TriggerView> {
    const known = await table.getTrigger(name);
    if (!known) throw new RoundtableError('UNKNOWN_TRIGGER', `There is no trigger ${name}.`);
    const { seq, kind } = known.view;
    const secrets = change(known.secrets, kind);
    const updatedAt = new Date().toISOString();
    if (!(await table.setTriggerSecrets(name, secrets, seq, updatedAt)))
      throw new RoundtableError('CONFLICT', `Trigger ${name} was changed by somebody else just now.`);
    return { ...known.view, seq: seq + 1, updatedAt, secrets: secrets.length };
  }
}

/** 256 bits, in the spelling that each kind of sender wants. */
function newSecret(kind: TriggerView['kind']): string {
  const bytes = randomBytes(32);
  return kind === 'standard' ? standardSecretPrefix + bytes.toString('base64') : bytes.toString('base64url');
}
