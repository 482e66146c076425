import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { RoundtableError } from '#core/errors.js';

/**
 * The gateway's data on disk. Each file is written beside its place and renamed into it, so that after a kill -9
 * it is there whole or not at all. (A power cut is another matter: nothing is forced to the disk.)
 */
export class Folder {
  readonly #temporary: string;
  #written = 0;

  constructor(readonly path: string) {
    this.#temporary = join(path, 'tmp');
    rmSync(this.#temporary, { recursive: true, force: true });
    for (const name of ['tmp', 'transactions', 'blocks', 'chunks'])
      mkdirSync(join(path, name), { recursive: true });
  }

  /** Small records are written synchronously: no other request sees a state in between. */
  writeRecord(kind: 'transactions' | 'blocks', name: string, value: object): void {
    const temporary = this.#temporaryName();
    writeFileSync(temporary, JSON.stringify(value));
    renameSync(temporary, join(this.path, kind, `${name}.json`));
  }

  /** All records of a kind, in no order. @throws FORMAT_INVALID naming the file that is none */
  records<Value>(kind: 'transactions' | 'blocks', schema: z.ZodType<Value>): Value[] {
    return readdirSync(join(this.path, kind)).map((name) => {
      const file = join(this.path, kind, name);
      try {
        return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
      } catch (cause) {
        throw new RoundtableError(
          'FORMAT_INVALID',
          `${file} is damaged. Restore the gateway's folder from a copy, or remove it to start anew.`,
          { cause },
        );
      }
    });
  }

  async writeBytes(path: string, parts: Uint8Array[]): Promise<void> {
    const temporary = this.#temporaryName();
    await writeFile(temporary, parts);
    await rename(temporary, path);
  }

  #temporaryName(): string {
    return join(this.#temporary, String(this.#written++));
  }
}
