import { findTemporal } from './find.js';

/** Finds or makes the Temporal server before tests need it, since a build takes longer than any of them may. */
let told = 0;
try {
  const { path, source, version } = await findTemporal({
    onProgress({ stage, elapsedSeconds, expectedSeconds, detail }) {
      if (Date.now() - told < 10_000) return;
      told = Date.now();
      const expected = expectedSeconds === null ? '' : ` of about ${expectedSeconds}`;
      console.log(`Temporal server: ${stage} for ${elapsedSeconds}${expected} s ${detail}`.trimEnd());
    },
  });
  console.log(`Temporal server ${version} (${source}): ${path}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
