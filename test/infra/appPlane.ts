import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

export interface Resource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}

export interface AppPlane {
  app: { removal: string; protect: boolean };
  resources: Resource[];
  /** Names of the SSM parameters that were read. */
  taken: string[];
  of(type: string): Resource[];
  /** The inputs of the one resource of that type, and of that name if there are several. */
  one(type: string, name?: string): Record<string, unknown>;
}

/** What sst.config.ts creates for a stage with the example's settings; SST's platform is installed if need be. */
export async function readAppPlane(stage: string): Promise<AppPlane> {
  const folder = mkdtempSync(join(tmpdir(), 'roundtable-stages-'));
  try {
    writeFileSync(join(folder, `${stage}.json`), readFileSync('infra/stages/example.json'));
    const { stdout } = await promisify(execFile)(process.execPath, ['scripts/appPlane.mjs', stage, folder], {
      maxBuffer: 64 * 1024 * 1024,
    });
    const plane = JSON.parse(stdout) as Omit<AppPlane, 'of' | 'one'>;
    const resources = plane.resources.map((resource) => ({ ...resource, inputs: plain(resource.inputs) }));
    const of = (type: string) => resources.filter((resource) => resource.type === type);
    return {
      ...plane,
      resources,
      of,
      one(type, name) {
        const found = of(type).filter((resource) => name === undefined || resource.name === name);
        const [only] = found;
        if (!only || found.length > 1)
          throw new Error(`${found.length} resources are ${name ?? type}, not one.`);
        return only.inputs;
      },
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
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

/** Pulumi wraps what is secret. */
function plain(inputs: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(inputs).map(([key, value]) => [key, unwrap(value)]));
}

function unwrap(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unwrap);
  if (typeof value !== 'object' || value === null) return value;
  if ('4dabf18193072939515e22adb298388d' in value && 'value' in value) return unwrap(value.value);
  return plain(value as Record<string, unknown>);
}
