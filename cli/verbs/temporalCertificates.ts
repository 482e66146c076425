import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { checkStage } from '#infra/settings.js';
import { createAuthority, issueFrom, type KeyPair } from '#services/certificateAuthority.js';
import { addVerb, UsageError } from '../command.js';
import type { Verb } from '../run.js';

const day = 86_400;

export const temporalCertificatesVerb: Verb = (program, does) => {
  addVerb(
    program,
    'temporal-certificates',
    "make what a Temporal cluster of one's own and the stack's programs show each other",
    'temporal-certificates --stage production --out temporal-production',
  )
    .requiredOption('--stage <name>', 'the stage whose cluster it is')
    .requiredOption('--out <folder>', 'for the files; the authority in it is used again, so keep it safe')
    .option('--days <count>', 'for how long the certificates count', '365')
    .action(
      does<{ stage: string; out: string; days: string }>(async (context, options) => {
        checkStage(options.stage);
        const days = Number(options.days);
        if (!(days >= 1 && days <= 825)) throw new UsageError('--days is a number from 1 to 825.');
        const folder = resolve(context.folder, options.out);
        mkdirSync(folder, { recursive: true, mode: 0o700 });
        const authority = await openAuthority(folder, options.stage);
        const host = `temporal.${options.stage}.roundtable.internal`;
        const server = await issueFrom(authority, { name: host, hosts: [host], seconds: days * day });
        const client = await issueFrom(authority, {
          name: `roundtable ${options.stage}`,
          hosts: [`stack.${options.stage}.roundtable.internal`],
          seconds: days * day,
        });
        const files = {
          'temporal-server': {
            ca: base64(authority.certificate),
            certificate: base64(server.certificate),
            key: base64(server.key),
          },
          'temporal-credentials': { ...client, ca: authority.certificate },
        };
        for (const [name, content] of Object.entries(files))
          writeFileSync(join(folder, `${name}.json`), JSON.stringify(content), { mode: 0o600 });
        const until = new Date(Date.now() + days * day * 1_000).toISOString().slice(0, 10);
        context.print({ folder, host, until, secrets: Object.keys(files) }, () => [
          `Made for ${host}, until ${until}. Put them into Secrets Manager:`,
          ...Object.keys(files).map(
            (name) =>
              `  aws secretsmanager put-secret-value --secret-id roundtable/${options.stage}/${name} --secret-string file://${join(options.out, name)}.json`,
          ),
        ]);
      }),
    );
};

/** That of the folder, or a new one for ten years. */
async function openAuthority(folder: string, stage: string): Promise<KeyPair> {
  const [certificateFile, keyFile] = [join(folder, 'authority.crt'), join(folder, 'authority.key')];
  if (existsSync(certificateFile) && existsSync(keyFile))
    return { certificate: readFileSync(certificateFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
  const authority = await createAuthority(`Roundtable ${stage} Temporal`, 3_650 * day);
  writeFileSync(certificateFile, authority.certificate);
  writeFileSync(keyFile, authority.key, { mode: 0o600, flag: 'wx' });
  return authority;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
