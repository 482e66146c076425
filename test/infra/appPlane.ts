import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { synthesiseApp, type AppPlane, type AppResource } from '#infra/synthesis.js';

/** What sst.config.ts creates, to be asked by type and name. */
export interface ReadPlane extends AppPlane {
  of(type: string): AppResource[];
  /** The inputs of the one resource of that type, and of that name if there are several. */
  one(type: string, name?: string): Record<string, unknown>;
}

/** A folder with the example's settings for a stage, until the work is done. */
export async function withExample<T>(stage: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-stages-'));
  try {
    cpSync('infra/stages/example.json', join(folder, `${stage}.json`));
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The app plane for a stage with the example's settings; SST's platform is installed if need be. */
export async function readAppPlane(stage: string): Promise<ReadPlane> {
  const plane = await withExample(stage, (folder) => synthesiseApp(stage, { root: process.cwd(), folder }));
  const of = (type: string) => plane.resources.filter((resource) => resource.type === type);
  return {
    ...plane,
    of,
    one(type, name) {
      const found = of(type).filter((resource) => name === undefined || resource.name === name);
      const [only] = found;
      if (!only || found.length > 1)
        throw new Error(`${found.length} resources are ${name ?? type}, not one.`);
      return only.inputs;
    },
  };
}

export interface Statement {
  effect?: string;
  actions: string[];
  resources: string[];
  principals?: { type: string; identifiers: string[] }[];
  conditions?: { test: string; variable: string; values: string[] }[];
}

/** Policies as the program wrote them. */
export const statementsOf = (policy: string): Statement[] =>
  (JSON.parse(policy) as { Statement: Statement[] }).Statement;
