/**
 * Writes the documents that are printed from the sources: docs/errors.md and the schemas of job.yaml and
 * policy.yaml. With --check it
 * writes nothing and ends with 1 when one of them is not current.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { loadSource } from './loadSource.mjs';

process.chdir(fileURLToPath(new URL('..', import.meta.url)));

const { errorsPage } = await loadSource('cli/docs/errorsPage.ts');
const { jobSchema, policyJsonSchema } = await loadSource('cli/docs/schemas.ts');
await print('docs/errors.md', errorsPage(readFileSync('core/errorCodes.ts', 'utf8')));
await print('docs/job.schema.json', jobSchema());
await print('docs/policy.schema.json', policyJsonSchema());

async function print(path, text) {
  const formatted = await format(text, { ...(await resolveConfig(path)), filepath: path });
  if (!process.argv.includes('--check')) return writeFileSync(path, formatted);
  if (existsSync(path) && readFileSync(path, 'utf8') === formatted) return;
  console.error(`${path} is not current; run: node scripts/make-docs.mjs`);
  process.exitCode = 1;
}
