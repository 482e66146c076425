import { build } from 'esbuild';

/** What a TypeScript file of the sources exports, for a script that runs without a build. */
export async function loadSource(entry) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
