/**
 * Verification as a library: it opens no connection and reads no file. Whoever uses it (the command line, a page in a
 * browser) hands in the chain, the archive, SHA-256 and, where there are some, the updates; see sources.ts.
 */
export { auditAll, auditVersion, type Audit, type AuditOptions } from './audit.js';
export type { Check } from './checklist.js';
export { readLineage, type Lineage, type LineageVersion } from './lineage.js';
export { openSavedChain, recordChain, savedChain, type SavedChain } from './savedChain.js';
export type { AuditChain, AuditSources, UpdateSource, WantedUpdate } from './sources.js';
