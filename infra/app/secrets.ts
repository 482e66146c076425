/**
 * Secrets of the app plane: `sst secret set ChainRpcUrls https://… --stage STAGE`. The addresses of chain nodes
 * count as secret because most carry an access key. Signing keys are not here: only the worker has them.
 */
export function createSecrets() {
  return { chainRpcUrls: new sst.Secret('ChainRpcUrls') };
}
