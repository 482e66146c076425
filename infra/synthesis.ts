import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

/** What both planes would create for a stage, by the tools' own synthesis: no account is asked. */
export interface Template {
  Resources: Record<string, { Type: string; Properties: Record<string, unknown>; DeletionPolicy?: string }>;
  Parameters?: Record<string, { Type: string; Default?: string }>;
  Outputs?: Record<string, unknown>;
}

export interface AppResource {
  type: string;
  name: string;
  inputs: Record<string, unknown>;
}

export interface AppPlane {
  app: { removal: string; protect: boolean };
  resources: AppResource[];
  /** Names of the SSM parameters that were read. */
  taken: string[];
}

const run = promisify(execFile);

/**
 * The stacks of the compute plane by name; CDK's validation and cdk-nag throw when a rule is broken.
 * @param place root: folder of package.json; folder: of the stages' settings; context: further `-c` of the CDK
 */
export async function synthesiseCompute(
  stage: string,
  place: { root: string; folder: string; context?: Record<string, string> },
): Promise<Record<string, Template>> {
  const output = mkdtempSync(join(tmpdir(), 'roundtable-cdk-'));
  try {
    await run(process.execPath, [join(place.root, 'dist/infra/cdk.js')], {
      cwd: place.root,
      maxBuffer: 64 * 1024 * 1024,
      env: {
        ...process.env,
        ROUNDTABLE_STAGES: resolve(place.folder),
        CDK_OUTDIR: output,
        CDK_CONTEXT_JSON: JSON.stringify({ stage, ...place.context }),
      },
    });
    const before = `Roundtable-${stage}-`;
    const files = readdirSync(output).filter((file) => file.endsWith('.template.json'));
    return Object.fromEntries(
      files.map((file) => [
        file.slice(before.length, -'.template.json'.length),
        JSON.parse(readFileSync(join(output, file), 'utf8')) as Template,
      ]),
    );
  } finally {
    rmSync(output, { recursive: true });
  }
}

/** SST's platform, which the app plane's program runs on; `npm run infra:check` installs it. */
export const hasAppPlatform = (root: string): boolean => existsSync(join(root, '.sst/platform/version'));

/** What sst.config.ts creates; SST's platform is installed if need be, which takes minutes. */
export async function synthesiseApp(
  stage: string,
  place: { root: string; folder: string },
): Promise<AppPlane> {
  const { stdout } = await run(
    process.execPath,
    [join(place.root, 'scripts/appPlane.mjs'), stage, resolve(place.folder)],
    { cwd: place.root, maxBuffer: 64 * 1024 * 1024 },
  );
  const plane = JSON.parse(stdout) as AppPlane;
  return {
    ...plane,
    resources: plane.resources.map((resource) => ({ ...resource, inputs: plain(resource.inputs) })),
  };
}

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
