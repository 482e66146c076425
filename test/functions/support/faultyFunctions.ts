import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { distFile } from '#local/paths.js';

/** What can happen to a function, in the order in which it is drawn. */
export const faults = ['killed before', 'hangs', 'throws', 'killed after'] as const;

/**
 * The deployed bundles, each behind a few lines that make it fail at random: killed before it does anything, silent
 * until its time is up, failed, or killed when all was done but nothing said. What happens follows from the seed and
 * from what the function is given. Whoever is given the deadly word dies each time; whoever is given
 * a calm word is left alone. Once the file `mended` is there, nothing fails: what chance laid aside would meet the
 * same chance again.
 */
export function writeFaultyFunctions(
  folder: string,
  options: { seed: number; rates: Record<string, number>; deadly: string; calm: readonly string[] },
): { mended: string; happened: string } {
  const [mended, happened] = [join(folder, 'mended'), join(folder, 'happened')];
  mkdirSync(folder, { recursive: true });
  for (const [name, rate] of Object.entries(options.rates))
    writeFileSync(
      join(folder, `${name}.mjs`),
      `
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync } from 'node:fs';
import * as deployed from ${JSON.stringify(pathToFileURL(distFile(`functions/${name}.mjs`)).href)};

const end = () => process.kill(process.pid, 'SIGKILL');

export async function handler(event, context) {
  const given = JSON.stringify(event.Records?.map(({ body, attributes }) => [body, attributes.ApproximateReceiveCount]) ?? event);
  const mended = existsSync(${JSON.stringify(mended)});
  if (given.includes(${JSON.stringify(options.deadly)}) && !mended) end();
  const calm = mended || ${JSON.stringify(options.calm)}.some((word) => given.includes(word));
  const draw = calm ? 1 : createHash('sha256').update('${options.seed} ' + given).digest().readUInt32LE() / 2 ** 32;
  const fault = ${JSON.stringify(faults)}[Math.floor(draw / ${rate})];
  if (fault) appendFileSync(${JSON.stringify(happened)}, '${name}: ' + fault + '\\n');
  if (fault === 'killed before') end();
  if (fault === 'hangs') await new Promise((resolve) => setTimeout(resolve, 600_000));
  if (fault === 'throws') throw new Error('as the seed would have it');
  const answer = await deployed.handler(event, context);
  if (fault === 'killed after') end();
  return answer;
}
`,
    );
  return { mended, happened };
}
