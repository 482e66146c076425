import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hashJson } from '#core/canonicalJson.js';
import type { JobSpec } from '#core/jobSpec.js';
import type { TriggerView } from '#core/views.js';
import { sha256 } from '#services/sha256.js';
import type { Api } from '../api.js';

/**
 * A GitHub trigger for this spec, set up once; its secret, which the stack shows only then, is kept in
 * STATE/triggers for the next run. A changed spec is another trigger.
 */
export async function demoTrigger(
  api: Api,
  state: string,
  spec: JobSpec,
): Promise<{ trigger: TriggerView; secret: string }> {
  const specHash = hashJson(sha256, spec);
  const base = `${spec.name.slice(0, 40)}-push`;
  const triggers = await api.triggers();
  const fits = (name: string) => {
    const known = triggers.find((trigger) => trigger.name === name);
    return !known || hashJson(sha256, known.spec) === specHash;
  };
  const name = fits(base) ? base : `${base}-${specHash.slice(2, 10)}`;
  const known = triggers.find((trigger) => trigger.name === name);
  const file = join(state, 'triggers', `${name}.secret`);
  if (known && existsSync(file)) return { trigger: known, secret: readFileSync(file, 'utf8').trim() };
  const made = known
    ? await api.rotateTrigger(name)
    : await api.addTrigger({ name, kind: 'github', events: ['push'], refs: ['refs/heads/main'], spec });
  mkdirSync(join(state, 'triggers'), { recursive: true, mode: 0o700 });
  writeFileSync(file, `${made.secret}\n`, { mode: 0o600 });
  return made;
}
